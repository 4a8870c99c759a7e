"""A private PostgreSQL server, where one is installed: made in a temporary folder, gone when it is closed.

It never runs as root (PostgreSQL refuses that) and listens on 127.0.0.1 only.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from nestperf.demo.children import StepFailed, free_port

USER = DATABASE = "nest"
_START_S = 30.0
_STOP_S = 10.0
_UNPRIVILEGED = ("postgres", "nobody")


def find_binaries() -> Path | None:
    """The folder of the newest PostgreSQL server's programs; None where there is none."""
    folders = [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: _version(folder.parent.name))
    folders += reversed(debian)
    return next(
        (folder for folder in folders if (folder / "postgres").exists() and (folder / "pg_isready").exists()), None
    )


class PostgresServer:
    """Owns one server process and its folder. Leaving the `with` block stops it and removes everything."""

    def __init__(self, binaries: Path, settings: Mapping[str, str] | None = None) -> None:
        """`settings`: further lines of `postgresql.conf`."""
        self.port = free_port()
        self.password = secrets.token_hex(12)
        self.folder = Path(tempfile.mkdtemp(prefix="nestperf-postgres-"))
        self._binaries = binaries
        self.settings = dict(settings or {})
        self._uid: int | None
        self._gid: int | None
        self._uid, self._gid = _unprivileged()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """To connect with, the password in it."""
        return self.url_at(self.port)

    def url_at(self, port: int) -> str:
        """The same, through a relay at another port of 127.0.0.1."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{port}/{DATABASE}"

    def give(self, name: str, content: bytes) -> Path:
        """A file in its folder that only the server reads."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)
        if self._uid is not None and self._gid is not None:
            os.chown(path, self._uid, self._gid)
        return path

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.folder / "log"

    def __enter__(self) -> Self:
        try:
            self._create()
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the server and remove its folder."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # fast shutdown: open connections are ended
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _create(self) -> None:
        secret = self.give("password", self.password.encode())
        if self._uid is not None and self._gid is not None:
            os.chown(self.folder, self._uid, self._gid)
        self._run("initdb", f"--username={USER}", f"--pwfile={secret}", "--auth=scram-sha-256", "--encoding=UTF8",
                  "--locale=C", "--no-sync", "-D", str(self.folder / "cluster"))  # fmt: skip
        secret.unlink()

    def _start(self) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "fsync": "off",
            **self.settings,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the server that was found
                [str(self._binaries / "postgres"), "-D", str(self.folder / "cluster"), *options],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                cwd=self.folder,
                user=self._uid,
                group=self._gid,
                extra_groups=None if self._uid is None else [],
            )
        self._run("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-t", "1", tries=int(_START_S))
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, DATABASE)

    def _run(self, program: str, *arguments: str, tries: int = 1) -> None:
        for _ in range(tries):
            ended = subprocess.run(  # noqa: S603 - the server's own programs
                [str(self._binaries / program), *arguments],
                capture_output=True,
                check=False,
                cwd=self.folder,
                env=os.environ | {"PGPASSWORD": self.password, "LC_ALL": "C"},
                timeout=_START_S,
                user=self._uid,
                group=self._gid,
                extra_groups=None if self._uid is None else [],
            )
            if ended.returncode == 0:
                return
            if self._process is not None and self._process.poll() is not None:
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                if self._process is not None:
                    self._process.wait(0.1)
        said = (ended.stderr or ended.stdout).decode(errors="replace").strip().replace(self.password, "…")
        raise StepFailed(f"PostgreSQL's {program} failed: {said[-400:] or 'it said nothing'}")


def _unprivileged() -> tuple[int, int] | tuple[None, None]:
    """User and group to run the server as where we are root; None where we are not."""
    if os.geteuid() != 0:
        return None, None
    for name in _UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            return user.pw_uid, user.pw_gid
    raise StepFailed("PostgreSQL does not run as root: run this as another user.")


def _version(name: str) -> float:
    try:
        return float(name)
    except ValueError:
        return 0.0
