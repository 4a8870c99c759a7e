"""Asks a database again what an application asked it: `nestperf replay FILE --database URL`."""
