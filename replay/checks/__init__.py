"""Contracts of the acceptance suite: one a file, each the traffic it makes and a pure judgement over its rows."""
