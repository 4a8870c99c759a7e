"""Turns captures into tables and verdicts; knows nothing of how a capture came to be."""
