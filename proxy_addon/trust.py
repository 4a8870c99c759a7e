"""Which certificates of applications the recorder accepts."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import certifi

from nestperf.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What an application's certificate has to be signed by."""

    insecure: bool = False
    """Anything will do."""
    roots: Path | None = None
    """Beside the system's roots those of this file; certifi's where there is none."""

    def options(self) -> dict[str, object]:
        """mitmproxy's options that say so."""
        return {
            "ssl_insecure": self.insecure,
            "ssl_verify_upstream_trusted_ca": str(self.roots) if self.roots is not None else certifi.where(),
            "ssl_verify_upstream_trusted_confdir": ssl.get_default_verify_paths().capath,
        }


def check_roots(path: Path) -> None:
    """Make sure that a file holds certificates.

    Raises:
        UsageError: it does not, or cannot be read.
    """
    try:
        ssl.create_default_context(cafile=str(path))
    except OSError as error:
        reason = "it holds no certificate in PEM form" if isinstance(error, ssl.SSLError) else error.strerror
        raise UsageError(f"--upstream-ca {path}: {reason}.") from error
