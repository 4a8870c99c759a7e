"""The recorder's certificate authority on disk, and what the command says about TLS that cannot be."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509

from nestperf.cli import run as nestperf
from nestperf.errors import UsageError
from proxy_addon.authority import open_authority
from proxy_addon.cli import choose_tls
from proxy_addon.listen import parse_upstream


def test_authority_is_made_once_in_a_private_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    first = open_authority(None)
    assert first.folder == tmp_path / "nestperf" / "ca"
    assert stat.S_IMODE(first.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((first.folder / "mitmproxy-ca.pem").stat().st_mode) == 0o600
    assert b"PRIVATE KEY" not in first.certificate.read_bytes()
    certificate = x509.load_pem_x509_certificate(first.certificate.read_bytes())
    assert certificate.subject.rfc4514_string() == "O=nestperf,CN=nestperf recorder"
    first.folder.chmod(0o755)
    assert open_authority(None) == first
    assert stat.S_IMODE(first.folder.stat().st_mode) == 0o700


def test_authority_is_made_whole_by_recorders_that_begin_together(tmp_path: Path) -> None:
    script = "import sys; from pathlib import Path; from proxy_addon.authority import open_authority\n"
    script += "print(open_authority(Path(sys.argv[1])).spki)"
    command = [sys.executable, "-c", script, str(tmp_path / "ca")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = {process.communicate(timeout=60)[0] for process in started}
    assert len(said) == 1
    assert [name.name for name in tmp_path.iterdir()] == ["ca"]


def test_authority_of_mitmproxy_can_be_named_and_is_left_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / ".mitmproxy"
    spki = open_authority(folder).spki
    folder.chmod(0o755)
    assert open_authority(folder).spki == spki
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def test_authority_that_is_none_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "mitmproxy-ca.pem").write_text("no key")
    with pytest.raises(UsageError, match="holds no certificate authority that can be read"):
        open_authority(tmp_path)


def test_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir()
    (tmp_path / "ca" / "precious").write_text("mine")
    with pytest.raises(UsageError, match=r"cannot be used .* name another folder with --ca"):
        open_authority(tmp_path / "ca")
    assert (tmp_path / "ca" / "precious").read_text() == "mine"


@pytest.mark.parametrize(
    ("urls", "tls", "browse", "chosen"),
    [
        (["http://a", "https://b"], False, False, (False, False)),
        (["http://a", "https://b"], True, False, (True, True)),
        (["http://a", "https://b"], False, True, (False, True)),
        (["https://a", "https://b"], True, True, (True, True)),
    ],
)
def test_choose_tls_table(urls: list[str], tls: bool, browse: bool, chosen: tuple[bool, ...]) -> None:
    assert choose_tls([parse_upstream(url) for url in urls], tls=tls, browse=browse, ca_folder=None) == chosen


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["http://127.0.0.1:1", "--insecure"], "--insecure is about the certificates of https:// applications"),
        (["http://127.0.0.1:1", "--upstream-ca", "x"], "--upstream-ca is about the certificates of https://"),
        (["https://127.0.0.1:1", "--upstream-ca", "no-such.pem"], "--upstream-ca no-such.pem: No such file"),
        (["https://127.0.0.1:1", "--upstream-ca", __file__], "it holds no certificate in PEM form"),
        (["http://127.0.0.1:1", "--ca", "x"], "add --tls"),
        (["http://127.0.0.1:1", "--tls", "--browser"], "leave --tls out"),
        (["http://127.0.0.1:1", "--tls", "--ca", __file__], "cannot be used (Not a directory)"),
    ],
)
def test_tls_flags_that_cannot_be_are_one_sentence_and_exit_2(
    arguments: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert nestperf(["record", *arguments, "-o", str(tmp_path / "qa.db")]) == 2
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_authority_is_not_made_where_no_browser_needs_it(tmp_path: Path) -> None:
    script = (
        "import os, signal\n"
        "from proxy_addon.listen import Listener\n"
        "from proxy_addon.trust import Trust\n"
        "from proxy_addon.master import run_relay\n"
        "listener = Listener(url='https://localhost:1', hosts=('127.0.0.1',), port=0)\n"
        "end = lambda spool: os.kill(os.getpid(), signal.SIGTERM)\n"
        "run_relay((listener,), ['true'], end, trust=Trust(), authority=None)\n"
    )
    home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", script], env=home, check=True, timeout=60)
    assert list(tmp_path.iterdir()) == []
