"""Pages as a browser sees them: the script that watches one, and what its reports become in a capture."""
