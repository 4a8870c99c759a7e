"""What went wrong between two sides that meant to speak TLS, and the one sentence that says what to do about it.

Pure: from OpenSSL's and mitmproxy's error texts to words. What a client sent never becomes part of a sentence.
"""

from __future__ import annotations

import re

PLAIN = "it spoke no TLS"
"""What a client did that sent anything else than a handshake."""
_CLOSED = "it closed the connection during the handshake"
_DISTRUST = re.compile(r"unknown ca|bad certificate|certificate unknown|certificate expired|unsupported certificate")
_VERIFY = re.compile(r"Certificate verify failed: (.*)")
_OPENSSL = re.compile(r"'([^']*)'\)\]\)")
"""The reason in `OpenSSL Error([('SSL routines', '', 'reason')])`."""
_HANDSHAKE = re.compile(rb"\x16\x03[\x00-\x04]")
_ALERT = re.compile(rb"\x15\x03[\x00-\x04]")
"""The beginnings of TLS records (RFC 8446, 5.1)."""
_HTTP2 = b"PRI * HTTP/2.0"


def clean(error: str) -> str:
    """mitmproxy's error text of a failed handshake without anything that the peer sent."""
    if error.startswith("Cannot parse ClientHello"):
        return "its handshake could not be understood"
    if error.startswith("connection closed"):
        return _CLOSED
    match = _OPENSSL.search(error)
    return match[1] if match else error


def client_sentence(reason: str, listen: str) -> str | None:
    """Why a client's handshake with the recorder at `listen` (`host:port`) failed; None where it only went away, as
    browsers do with connections that they opened to have one at hand. One that distrusts a certificate says so."""
    if reason == PLAIN:
        return f"A client speaks plain HTTP to the recorder: open https://{listen}, not http://{listen}."
    if reason == _CLOSED:
        return None
    if _DISTRUST.search(reason):
        return (
            f"A client does not trust the recorder's certificate at https://{listen} ({reason}): "
            "docs/tls.md says how it will."
        )
    return f"TLS between a client and the recorder at https://{listen} failed: {reason}."


def is_tls_failure(error: str) -> bool:
    """Whether an upstream connection failed in its handshake, and not before."""
    return bool(_VERIFY.search(error)) or "TLS" in error or error.startswith("OpenSSL")


def upstream_reason(error: str) -> str:
    """Why the handshake with an application failed, and what to do about it."""
    verify = _VERIFY.search(error)
    if verify is not None:
        return (
            f"its certificate is not trusted ({verify[1].strip()}): name its authority with --upstream-ca FILE, or "
            "accept any certificate with --insecure"
        )
    if "does not speak TLS" in error or "wrong version number" in error:
        return "it does not speak TLS: record it as http://"
    return f"TLS failed: {clean(error)}"


def wrong_protocol(sender: str, data: bytes, url: str, listen: str) -> str | None:
    """What somebody speaks where plain HTTP/1.1 was expected; None where that is not known.

    Args:
        sender: `client` or `server`.
        data: what could not be understood.
        url: of the application.
        listen: `host:port` of the recorder.
    """
    if sender == "client" and _HANDSHAKE.match(data):
        return f"A client speaks TLS to the recorder: open http://{listen}, or record with --tls."
    if sender == "client" and data.startswith(_HTTP2):
        return f"A client speaks HTTP/2 to the recorder at {listen} without asking: only HTTP/1.1 is recorded."
    if sender == "server" and _ALERT.match(data):
        return f"{url} speaks TLS: record it as {url.replace('http://', 'https://', 1)}."
    return None
