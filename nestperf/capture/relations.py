"""What a secret is made of, where it contains others: next-auth's cookie `token|hash` and the form field `token`.

Kept as a row of `relations`, readable without `FILE.secrets`: `id` is the number in the secret's placeholder,
`template` is its text with placeholders for the secrets inside (and for what is left between them), `coding` says how
that text is written in the secret (empty: as it is; `url`, `base64`, `base64url` without padding). So whoever gets a
new value for one can build the other (`build`), or take a new whole apart (`take_apart`). Pure.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping

from nestperf.capture.forms import ALL, HTML, IN_JSON, IN_URL, RAW, as_bytes, as_text, decode_form, encode_form
from nestperf.capture.known import KnownSecrets
from nestperf.capture.model import Relation
from nestperf.capture.vault import Vault

_PLACEHOLDER = re.compile(rf"nps_[0-9a-f]{{6}}_(\d+)([{''.join(ALL)}])")
_DELIMITER = re.compile(r"([|:.;,&=\s\"'{}\[\]()<>]|%[0-9A-Fa-f]{2})")
_REVERSIBLE = frozenset({RAW, HTML, *IN_URL, *IN_JSON})
"""Forms that hold the whole value; inside base64 its edges mix with what stands beside it."""
_LONGEST = 65_536
"""Characters of a secret that is looked into."""


def find_relations(vault: Vault, known: KnownSecrets) -> Iterator[Relation]:
    """What the vault's secrets are made of; `known` knows them. What is left between them becomes secrets as well."""
    for value in vault.values:
        if len(value) > _LONGEST:
            continue
        for coding, text in _readings(value):
            template = _template(text, value, vault, known)
            if template is not None:
                yield Relation(vault.number(value), coding, template)
                break


def _template(text: str, whole: str, vault: Vault, known: KnownSecrets) -> str | None:
    content = as_bytes(text)
    found = sorted(
        (
            one
            for one in known.find(content)
            if one.written.value != whole and one.written.form in _REVERSIBLE and one.end - one.start < len(content)
        ),
        key=lambda one: (one.start, -one.end),
    )
    pieces: list[str] = []
    at = 0
    for start, end, written in found:
        if start >= at:
            pieces += _rest(as_text(content[at:start]), vault), vault.conceal(written.value, written.form)
            at = end
    return "".join([*pieces, _rest(as_text(content[at:]), vault)]) if pieces else None


def _rest(text: str, vault: Vault) -> str:
    """What stands between known secrets is secret too, but for delimiters."""
    parts = _DELIMITER.split(text)
    return "".join(
        part if index % 2 or not part else vault.conceal(part, within=True) for index, part in enumerate(parts)
    )


def _readings(value: str) -> Iterator[tuple[str, str]]:
    """(coding, text) for every way to read a secret that gives back the secret when it is written again."""
    yield "", value
    if "%" in value:
        text, form = decode_form(value, IN_URL[:1])
        if form != RAW:
            yield "url", text
    for coding, alphabet, padding in (("base64", b"+/", ""), ("base64url", b"-_", "=" * (-len(value) % 4))):
        try:
            text = base64.b64decode(value + padding, alphabet, validate=True).decode()
        except ValueError:
            continue
        if text and _write(text, coding) == value:
            yield coding, text
            return


def _write(text: str, coding: str) -> str:
    if coding == "url":
        return encode_form(text, IN_URL[0])
    if coding == "base64url":
        return base64.urlsafe_b64encode(as_bytes(text)).decode().rstrip("=")
    if coding == "base64":
        return base64.b64encode(as_bytes(text)).decode()
    return text


def build(relation: Relation, values: Mapping[int, str]) -> str:
    """The whole secret, given values for the secrets in its template.

    Raises:
        KeyError: one is missing.
    """
    text = _PLACEHOLDER.sub(lambda match: encode_form(values[int(match[1])], match[2]), relation.template)
    return _write(text, relation.coding)


def take_apart(relation: Relation, whole: str) -> dict[int, str] | None:
    """The values of the secrets in the template, given a new whole; None where it is not of that make."""
    text = dict(_readings(whole)).get(relation.coding)
    if text is None:
        return None
    pattern, forms = _pattern_of(relation.template)
    match = pattern.fullmatch(text)
    if match is None:
        return None
    values: dict[int, str] = {}
    for (number, form), raw in zip(forms, match.groups(), strict=True):
        value = raw if form == RAW else decode_form(raw, (form,))[0]
        if values.setdefault(number, value) != value:
            return None
    return values


def _pattern_of(template: str) -> tuple[re.Pattern[str], list[tuple[int, str]]]:
    literals = _PLACEHOLDER.split(template)[::3]
    forms = [(int(number), form) for number, form in _PLACEHOLDER.findall(template)]
    return re.compile("(.+?)".join(map(re.escape, literals)), re.DOTALL), forms
