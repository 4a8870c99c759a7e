"""Placeholders: the same for the same secret, reversible in every form, worthless without the file."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.capture.forms import ALL, encode_form
from nestperf.capture.vault import Vault, secrets_path
from nestperf.errors import CaptureTruncated, UsageError


def test_conceal_same_secret_gives_same_placeholder() -> None:
    vault = Vault.in_memory()
    assert vault.conceal("swordfish") == vault.conceal("swordfish")
    assert vault.conceal("swordfish") != vault.conceal("swordfish2")


@given(st.text(min_size=1), st.sampled_from(ALL), st.text(), st.text())
def test_reveal_any_form_restores_the_text(value: str, form: str, before: str, after: str) -> None:
    vault = Vault.in_memory()
    text = before + vault.conceal(value, form) + after
    assert vault.reveal(text) == before + encode_form(value, form) + after


def test_conceal_number_stays_a_json_number() -> None:
    vault = Vault.in_memory()
    text = f'{{"pin": {vault.conceal_number("123456")}}}'
    assert isinstance(json.loads(text)["pin"], int)
    assert vault.reveal(text) == '{"pin": 123456}'


def test_reveal_placeholder_of_another_file_stays_as_it_is() -> None:
    ours, theirs = Vault.in_memory(), Vault.in_memory()
    assert ours.reveal(theirs.conceal("swordfish")) != "swordfish"


def test_keyed_id_differs_between_captures() -> None:
    one, other = Vault.in_memory(), Vault.in_memory()
    assert one.keyed_id(b"x") == one.keyed_id(b"x") != other.keyed_id(b"x")


def test_flush_writes_a_file_for_its_owner_alone(tmp_path: Path) -> None:
    vault = Vault.create(tmp_path / "qa.db")
    placeholder = vault.conceal("swordfish")
    vault.flush()
    path = secrets_path(tmp_path / "qa.db")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = Vault.open(tmp_path / "qa.db")
    assert again is not None
    assert again.reveal(placeholder) == "swordfish"
    assert again.keyed_id(b"x") == vault.keyed_id(b"x")


def test_flush_twice_appends(tmp_path: Path) -> None:
    vault = Vault.create(tmp_path / "qa.db")
    placeholders = [vault.conceal("one secret")]
    vault.flush()
    placeholders.append(vault.conceal("two\nsecrets"))
    vault.flush()
    vault.flush()
    again = Vault.open(tmp_path / "qa.db")
    assert again is not None
    assert [again.reveal(text) for text in placeholders] == ["one secret", "two\nsecrets"]


def test_open_without_a_file_gives_none(tmp_path: Path) -> None:
    assert Vault.open(tmp_path / "qa.db") is None


def test_open_after_a_kill_in_the_last_line_keeps_the_rest(tmp_path: Path) -> None:
    vault = Vault.create(tmp_path / "qa.db")
    placeholder = vault.conceal("swordfish")
    vault.flush()
    path = secrets_path(tmp_path / "qa.db")
    path.write_bytes(path.read_bytes() + b'{"number": 1, "val')
    again = Vault.open(tmp_path / "qa.db")
    assert again is not None
    assert again.reveal(placeholder) == "swordfish"


def test_open_damaged_file_is_refused_in_one_sentence(tmp_path: Path) -> None:
    secrets_path(tmp_path / "qa.db").write_text("not json\n")
    with pytest.raises(CaptureTruncated, match=r"qa\.db\.secrets is damaged"):
        Vault.open(tmp_path / "qa.db")


def test_create_beside_foreign_secrets_is_refused(tmp_path: Path) -> None:
    secrets_path(tmp_path / "qa.db").write_text("")
    with pytest.raises(UsageError, match="may hold the secrets of another capture"):
        Vault.create(tmp_path / "qa.db")


def written(folder: Path) -> tuple[Path, str]:
    """A capture's path with secrets beside it, and the placeholder of the one secret."""
    vault = Vault.create(folder / "qa.db")
    placeholder = vault.conceal("swordfish")
    vault.flush()
    return folder / "qa.db", placeholder


@pytest.mark.parametrize("form", ["content", "content without its last line end", "path", "path in a line"])
def test_secrets_from_the_environment_stand_in_for_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    path, placeholder = written(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    secrets_path(path).rename(elsewhere)
    content = elsewhere.read_text()
    told = {"content": content, "path": str(elsewhere), "path in a line": f"{elsewhere}\n"}.get(form, content.rstrip())
    monkeypatch.setenv("NESTPERF_SECRETS", told)
    vault = Vault.find(path)
    assert vault is not None
    assert vault.reveal(placeholder) == "swordfish"
    assert vault.values == ("swordfish",)
    assert vault.path is None
    vault.conceal("another")
    vault.flush()
    Vault.for_a_run(tmp_path / "replay.db", path).flush()
    assert [name.name for name in tmp_path.iterdir()] == ["elsewhere"]


def test_secrets_beside_the_capture_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, placeholder = written(tmp_path)
    monkeypatch.setenv("NESTPERF_SECRETS", "nonsense")
    vault = Vault.find(path)
    assert vault is not None
    assert vault.reveal(placeholder) == "swordfish"
    assert Vault.for_a_run(tmp_path / "replay.db", path).path == tmp_path / "replay.db.secrets"


@pytest.mark.parametrize(
    "told", ['{"key": "sword', "swordfish", '{"key": 7}', '{"key":"00"}\n[]', "{}", "{", "x" * 10_000]
)
def test_secrets_from_the_environment_that_are_none_are_refused_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    monkeypatch.setenv("NESTPERF_SECRETS", told)
    with pytest.raises(UsageError, match="NESTPERF_SECRETS holds neither") as refused:
        Vault.find(tmp_path / "qa.db")
    assert "sword" not in str(refused.value)
    assert refused.value.__suppress_context__


@pytest.mark.parametrize("told", ["", "  \n"])
def test_an_empty_variable_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    monkeypatch.setenv("NESTPERF_SECRETS", told)
    assert Vault.find(tmp_path / "qa.db") is None
