"""`FILE.secrets`, the only place where the originals of secrets stand, and the placeholders that stand for them.

One line of JSON a secret, readable by its owner alone, and always written before the capture refers to it. A
placeholder is safe in URLs, headers, cookies and JSON: `nps_<tag>_<number><form>`, where the tag belongs to the file
and the form (`nestperf.capture.forms`) says how the original was written at that place. A JSON number becomes a
number of twelve digits.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from pathlib import Path
from typing import Self

from nestperf.capture.forms import ALL, encode_form
from nestperf.capture.forms import RAW as RAW
from nestperf.errors import CaptureTruncated, UsageError

FORMAT = 1
SECRETS = "NESTPERF_SECRETS"
"""Environment variable: the secrets of the capture that is played, where no `FILE.secrets` is beside it."""
_DAMAGED = (ValueError, KeyError, TypeError, IndexError)


def secrets_path(capture: Path) -> Path:
    """Where a capture's secrets stand."""
    return capture.with_name(capture.name + ".secrets")


def refuse_lone_secrets(capture: Path) -> None:
    """Refuse to write a capture beside secrets that are not its own.

    Raises:
        UsageError: there are such.
    """
    if secrets_path(capture).exists():
        raise UsageError(
            f"{secrets_path(capture)} exists without its capture: move it away, or overwrite with --force."
        )


def is_from_environment(capture: Path) -> bool:
    """Whether a capture's secrets come from the environment."""
    return bool(os.environ.get(SECRETS, "").strip()) and not secrets_path(capture).exists()


class Vault:
    """Secrets of one capture. `conceal` gives placeholders, `reveal` gives the originals back."""

    def __init__(self, path: Path | None, key: bytes) -> None:
        self.path = path
        self.tag = hashlib.blake2b(b"tag", key=key, digest_size=3).hexdigest()
        self._key = key
        self._values: list[str] = []
        self._within: set[int] = set()
        """Parts of other secrets that were no secrets of their own so far."""
        self._numbers: dict[str, int] = {}
        self._unwritten: list[str] = []
        self._begun = False
        self.number_tag = f"8{int(self.tag, 16) % 100_000:05d}"
        self._pattern = re.compile(
            rf"nps_{self.tag}_(\d+)([{''.join(ALL)}])|(?<![\d.]){self.number_tag}(\d{{6,9}})(?!\d)"
        )

    @classmethod
    def create(cls, capture: Path) -> Self:
        """A new vault; its file is written at the first flush that has something to write.

        Raises:
            UsageError: a file is there already.
        """
        path = secrets_path(capture)
        if path.exists():
            raise UsageError(
                f"{path} exists and may hold the secrets of another capture: move it away, or use --force."
            )
        return cls(path, secrets.token_bytes(32))

    @classmethod
    def in_memory(cls) -> Self:
        """A vault without a file."""
        return cls(None, secrets.token_bytes(32))

    @classmethod
    def open(cls, capture: Path) -> Self | None:
        """The vault of a capture; None where there is no `FILE.secrets`.

        Raises:
            CaptureTruncated: the file is damaged.
        """
        path = secrets_path(capture)
        if not path.exists():
            return None
        try:
            # A kill may have cut the last line; nothing refers to it, because it was not yet committed.
            return cls._read(path, path.read_text("utf-8").split("\n")[:-1])
        except (*_DAMAGED, OSError) as error:
            raise CaptureTruncated(f"{path} is damaged: copy it again, or replay without it.") from error

    @classmethod
    def find(cls, capture: Path) -> Self | None:
        """The vault to play a capture with: of `FILE.secrets`, else what `NESTPERF_SECRETS` holds (the content of such
        a file, or its path) and is never written anywhere; None where there is neither.

        Raises:
            CaptureTruncated: the file is damaged.
            UsageError: the variable holds neither.
        """
        if not is_from_environment(capture):
            return cls.open(capture)
        told = os.environ[SECRETS].strip()
        try:
            content = told if told.startswith("{") else Path(told).read_text("utf-8").strip()
            return cls._read(None, content.splitlines())
        except (*_DAMAGED, OSError):
            # Not even a part of it is shown, nor where it went wrong.
            raise UsageError(
                f"{SECRETS} holds neither the content of a FILE.secrets nor the path of one: set it to one of the two."
            ) from None

    @classmethod
    def for_a_run(cls, capture: Path, source: Path) -> Self:
        """A vault for the capture of a run that plays `source` back: without a file where the secrets of that come from
        the environment.

        Raises:
            UsageError: a file is there already.
        """
        return cls.in_memory() if is_from_environment(source) else cls.create(capture)

    @classmethod
    def _read(cls, path: Path | None, lines: list[str]) -> Self:
        vault = cls(path, bytes.fromhex(json.loads(lines[0])["key"]))
        for line in filter(None, lines[1:]):
            entry = json.loads(line)
            vault._remember(str(entry["value"]), within=bool(entry.get("within")))
        vault._unwritten.clear()
        vault._begun = True
        return vault

    def __len__(self) -> int:
        return len(self._values)

    @property
    def values(self) -> tuple[str, ...]:
        """The originals, by number."""
        return tuple(self._values)

    @property
    def sought(self) -> tuple[str, ...]:
        """The originals that are secrets of their own, not only what is left of another one beside those within it."""
        return tuple(value for number, value in enumerate(self._values) if number not in self._within)

    def number(self, value: str) -> int:
        """The number in the placeholders of a secret that is known already."""
        return self._numbers[value]

    def conceal(self, value: str, form: str = RAW, *, within: bool = False) -> str:
        """The placeholder of a secret, as written in that form; `within`: only a part of another one."""
        return f"nps_{self.tag}_{self._remember(value, within=within)}{form}"

    def conceal_number(self, value: str) -> str:
        """The placeholder of a secret that stands as a JSON number: a number as well."""
        return f"{self.number_tag}{self._remember(value):06d}"

    def is_placeholder(self, text: str) -> bool:
        """Whether `text` is one placeholder of this vault and nothing else."""
        return self._pattern.fullmatch(text) is not None

    def reveal(self, text: str) -> str:
        """`text` with every placeholder replaced by what stood there."""
        if self.tag not in text and self.number_tag not in text:
            return text
        return self._pattern.sub(self._original, text)

    def reveal_bytes(self, content: bytes) -> bytes:
        """The same for bytes of any encoding that contains ASCII."""
        if self.tag.encode() not in content and self.number_tag.encode() not in content:
            return content
        return self.reveal(content.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def keyed_id(self, content: bytes) -> str:
        """Equal for equal contents of one capture, and meaningless without the vault's key."""
        return hashlib.blake2b(content, key=self._key, digest_size=16).hexdigest()

    def keyed_hash(self) -> hashlib.blake2b:
        """The same, for contents that come in pieces."""
        return hashlib.blake2b(key=self._key, digest_size=16)

    def write_beside(self, capture: Path) -> None:
        """Write all of it beside a capture: its own, or another one.

        Raises:
            OSError: it cannot be written; what was there before is still there.
        """
        path = secrets_path(capture)
        if path == self.path:
            self.flush()
            return
        part = path.with_name(f".{path.name}.part")
        part.unlink(missing_ok=True)
        copy = Vault(part, self._key)
        for number, value in enumerate(self._values):
            copy._remember(value, within=number in self._within)
        try:
            copy.flush()
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def flush(self) -> None:
        """Write what is not yet in the file.

        Raises:
            OSError: the disk is full or gone; nothing is forgotten.
        """
        if not self._unwritten or self.path is None:
            return
        lines = self._unwritten
        if not self._begun:
            lines = [json.dumps({"nestperf_secrets": FORMAT, "key": self._key.hex()}), *lines]
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
            content = ("\n".join(lines) + "\n").encode()
            while content:
                content = content[os.write(descriptor, content) :]
        finally:
            os.close(descriptor)
        self._unwritten = []
        self._begun = True

    def _remember(self, value: str, *, within: bool = False) -> int:
        number = self._numbers.get(value)
        if number is None:
            number = self._numbers[value] = len(self._values)
            self._values.append(value)
            if within:
                self._within.add(number)
        elif within or number not in self._within:
            return number
        else:
            self._within.remove(number)
        entry = {"number": number, "value": value}
        self._unwritten.append(json.dumps(entry | {"within": True} if within else entry))
        return number

    def _original(self, match: re.Match[str]) -> str:
        number = int(match[1] or match[3])
        if number >= len(self._values):
            return match[0]
        return encode_form(self._values[number], match[2] or RAW)
