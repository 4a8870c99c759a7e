"""Slow networks: their profiles, and what such a network does to bytes."""
