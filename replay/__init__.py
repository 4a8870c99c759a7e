"""Plays captures back with many virtual users; everything but `transport` and the entry points is free of sockets."""
