"""The certificate authority that signs what the recorder shows to browsers: mitmproxy's kind, in a folder of its own.

Its private key stays in that folder, which only its owner can enter; no capture ever holds it.
"""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from mitmproxy.certs import CertStore
from mitmproxy.options import CONF_BASENAME

from nestperf.errors import UsageError

_KEY_SIZE = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A certificate authority on disk."""

    folder: Path
    spki: str
    """Base64 of the SHA-256 of its public key, which its certificates share: what Chromium takes for trust."""

    @property
    def certificate(self) -> Path:
        """The file that browsers have to trust; it holds no key."""
        return self.folder / f"{CONF_BASENAME}-ca-cert.pem"


def default_folder() -> Path:
    """Where nestperf's own authority lives: `$XDG_DATA_HOME/nestperf/ca`."""
    data = os.environ.get("XDG_DATA_HOME", "")
    return (Path(data) if Path(data).is_absolute() else Path.home() / ".local" / "share") / "nestperf" / "ca"


def open_authority(folder: Path | None) -> Authority:
    """The authority in that folder (mitmproxy's own, `~/.mitmproxy`, is one), else nestperf's own; made where missing.

    Raises:
        UsageError: it cannot be made, read or understood.
    """
    own = folder is None
    folder = default_folder() if folder is None else folder.expanduser()
    try:
        if not (folder / f"{CONF_BASENAME}-ca.pem").exists():
            _create(folder)
        if own:
            folder.chmod(0o700)
        store = CertStore.from_store(folder, CONF_BASENAME, _KEY_SIZE)
    except OSError as error:
        raise UsageError(
            f"The certificate authority in {folder} cannot be used ({error.strerror}): name another folder with --ca."
        ) from error
    except (ValueError, TypeError, IndexError) as error:
        raise UsageError(
            f"{folder} holds no certificate authority that can be read: move it away, or name another with --ca."
        ) from error
    if store.default_ca.has_expired():
        raise UsageError(f"The certificate authority in {folder} has expired: move it away, a new one will be made.")
    public = store.default_privatekey.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Authority(folder=folder, spki=base64.b64encode(hashlib.sha256(public).digest()).decode())


def _create(folder: Path) -> None:
    """Make an authority, whole or not at all, however many recorders begin at the same time."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".ca-", dir=folder.parent) as room:
        made = Path(room) / "ca"
        made.mkdir(mode=0o700)
        CertStore.create_store(made, CONF_BASENAME, _KEY_SIZE, "nestperf", "nestperf recorder")
        try:
            made.rename(folder)
        except OSError:
            if not (folder / f"{CONF_BASENAME}-ca.pem").exists():  # else somebody else was faster
                raise
