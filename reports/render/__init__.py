"""One output a file: each renders the same facts, none measures anything."""
