"""PostgreSQL's own log: queries with durations, out of stderr's text, csvlog or jsonlog."""
