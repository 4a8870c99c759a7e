"""Where the values that a session sends came from: pure, offline, deterministic."""
