"""What the recorder, the replayer and the reports share: the capture file and the wire decoders.

Nothing in here opens a network connection, except the stand-in application in `nestperf.demo`.
"""

__version__ = "0.1.0"
