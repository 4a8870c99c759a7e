"""The recorder: a relay inside mitmproxy that forwards every byte untouched and hands on a copy to be understood."""
