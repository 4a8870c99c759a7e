"""What a capture's placeholders stand for: the originals out of the vault, or, without it, what is known of their make.

Remembers which secrets it revealed, so that a session can claim its own.
"""

from __future__ import annotations

import json
import re

from nestperf.capture.forms import RAW
from nestperf.capture.model import Pairs
from nestperf.capture.reader import Capture
from nestperf.capture.vault import SECRETS, Vault, secrets_path
from replay.provenance.relations import Expansion

_PLACEHOLDER = re.compile(r"(nps_[0-9a-f]{6}_\d+)[a-z_]")


class Originals:
    """One capture's texts, heads and bodies with their secrets."""

    def __init__(self, capture: Capture, vault: Vault | None) -> None:
        self.notes: set[str] = set()
        """Sentences about what could not be revealed."""
        self._capture = capture
        self._vault = vault
        self._expansion = Expansion(capture.relations() if vault is None else ())
        self._heads: dict[int | None, tuple[Pairs, frozenset[str]]] = {}
        self._secrets: set[str] = set()

    def claim(self) -> set[str]:
        """The originals that were revealed since this was asked last."""
        claimed, self._secrets = self._secrets, set()
        return claimed

    def reveal(self, text: str) -> str:
        """Text with the originals in place of their placeholders, as far as they are known."""
        placeholders = _PLACEHOLDER.findall(text) if "nps_" in text else ()
        if self._vault is not None:
            self._secrets.update(self._vault.reveal(f"{placeholder}{RAW}") for placeholder in placeholders)
            revealed = self._vault.reveal(text)
            if placeholders and revealed == text:
                self.notes.add(
                    "The secrets are another capture's: placeholders go out where the recording had secrets."
                )
            return revealed
        if placeholders:
            self.notes.add(
                f"{secrets_path(self._capture.path)} is not there and {SECRETS} is not set: placeholders go out where "
                "the recording had secrets that no live answer gives anew."
            )
            return self._expansion.expand(text)
        return text

    def reveal_bytes(self, content: bytes) -> bytes:
        """The same of bytes, text or not."""
        if b"nps_" in content:
            text = self.reveal(content.decode("utf-8", "surrogateescape"))
            if self._vault is None:
                return text.encode("utf-8", "surrogateescape")
        return content if self._vault is None else self._vault.reveal_bytes(content)

    def head(self, header_set: int | None) -> Pairs:
        """The fields of a head."""
        known = self._heads.get(header_set)
        if known is None:
            before, self._secrets = self._secrets, set()
            pairs = tuple((name, self.reveal(value)) for name, value in self._capture.headers(header_set))
            known = self._heads[header_set] = (pairs, frozenset(self._secrets))
            self._secrets = before
        self._secrets |= known[1]
        return known[0]

    def bodies(self, numbers: str | None) -> tuple[bytes, ...]:
        """The bodies that a packet names (a JSON list of ids): its attachments, in order."""
        known = (self._capture.body(number) for number in json.loads(numbers or "[]"))
        return tuple(self.reveal_bytes(body.content or b"") if body is not None else b"" for body in known)
