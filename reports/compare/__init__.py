"""Holds a run against earlier ones: what changed by more than chance and the noise between runs, and what could not
have been seen."""
