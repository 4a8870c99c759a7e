"""`python -m nestperf`."""

from nestperf.cli import main

main()
