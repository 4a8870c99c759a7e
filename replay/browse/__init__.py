"""Pages opened again in a real browser, over a network that somebody chose."""
