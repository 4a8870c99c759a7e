"""The capture file: what one run saw, in one SQLite file. The only thing that passes between the commands."""
