"""Whom the replay trusts, and who it says it is, towards https targets."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from nestperf.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The certificate options of one run."""

    ca: Path | None = None
    """PEM file of authorities that are trusted beside the system's."""
    insecure: bool = False
    """Any certificate is accepted."""
    certificate: Path | None = None
    """PEM file with a client certificate, and with its key where `key` is None."""
    key: Path | None = None


def client_context(trust: Trust) -> ssl.SSLContext:
    """A context that offers HTTP/1.1 only; the host name goes out as SNI and must be in the certificate.

    Raises:
        UsageError: a file is missing, or is not what it should be.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if trust.ca is not None:
        try:
            context.load_verify_locations(trust.ca)
        except OSError as error:
            raise UsageError(f"{trust.ca} holds no certificates ({_reason(error)}): name a PEM file.") from error
    if trust.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if trust.key is not None and trust.certificate is None:
        raise UsageError(f"{trust.key} is a key without a certificate: name that with --client-cert.")
    if trust.certificate is not None:
        try:
            # An encrypted key would ask at the terminal, in the middle of a script.
            context.load_cert_chain(trust.certificate, trust.key, password="")
        except (OSError, ValueError) as error:
            where = trust.certificate if trust.key is None else f"{trust.certificate} with {trust.key}"
            raise UsageError(
                f"{where} is no client certificate with its unencrypted key ({_reason(error)}): name PEM files with "
                "--client-cert and --client-key."
            ) from error
    return context


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "not in PEM form"
    return getattr(error, "strerror", None) or str(error)
