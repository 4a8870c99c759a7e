"""A small stand-in for MediaNest, a scripted QA session against it, and `nestperf demo`, which shows it all once.

It speaks only with loopback and uses nestperf through its public commands.
"""
