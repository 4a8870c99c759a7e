"""The sentences for handshakes that fail, and that nothing a peer sent is in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_addon.handshakes import PLAIN, clean, client_sentence, is_tls_failure, upstream_reason, wrong_protocol

URL, LISTEN = "http://localhost:4000", "127.0.0.1:8400"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("Cannot parse ClientHello: 474554202f3f746f6b656e3d736563726574", "its handshake could not be understood"),
        ("connection closed", "it closed the connection during the handshake"),
        ("OpenSSL Error([('SSL routines', '', 'no shared cipher')])", "no shared cipher"),
        ("tlsv1 alert unknown ca", "tlsv1 alert unknown ca"),
    ],
)
def test_clean_keeps_the_reason_and_nothing_that_was_sent(error: str, reason: str) -> None:
    assert clean(error) == reason


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        (PLAIN, "A client speaks plain HTTP to the recorder: open https://127.0.0.1:8400, not http://127.0.0.1:8400."),
        ("ssl/tls alert bad certificate", "does not trust the recorder's certificate at https://127.0.0.1:8400"),
        ("ssl/tls alert certificate unknown", "docs/tls.md"),
        (
            "no shared cipher",
            "TLS between a client and the recorder at https://127.0.0.1:8400 failed: no shared cipher.",
        ),
    ],
)
def test_client_sentence_says_what_to_do(reason: str, sentence: str) -> None:
    assert sentence in (client_sentence(reason, LISTEN) or "")


def test_client_that_only_goes_away_is_no_news() -> None:
    assert client_sentence(clean("connection closed"), LISTEN) is None


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            "Certificate verify failed: certificate has expired",
            "its certificate is not trusted (certificate has expired)",
        ),
        ("The remote server does not speak TLS.", "it does not speak TLS: record it as http://"),
        ("OpenSSL Error([('SSL routines', '', 'sslv3 alert handshake failure')])", "TLS failed: sslv3 alert handshake"),
    ],
)
def test_upstream_reason_says_what_to_do(error: str, reason: str) -> None:
    assert is_tls_failure(error)
    assert reason in upstream_reason(error)


def test_refused_connection_is_no_tls_failure() -> None:
    assert not is_tls_failure("[Errno 111] Connect call failed ('127.0.0.1', 4000)")


@pytest.mark.parametrize(
    ("sender", "data", "sentence"),
    [
        ("client", b"\x16\x03\x01\x02\x00\x01", "A client speaks TLS to the recorder: open http://127.0.0.1:8400,"),
        ("client", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2 to the recorder at 127.0.0.1:8400 without asking"),
        (
            "server",
            b"\x15\x03\x03\x00\x02\x02(",
            "http://localhost:4000 speaks TLS: record it as https://localhost:4000.",
        ),
    ],
)
def test_wrong_protocol_is_recognised_by_its_first_bytes(sender: str, data: bytes, sentence: str) -> None:
    assert sentence in (wrong_protocol(sender, data, URL, LISTEN) or "")


@given(st.sampled_from(["client", "server"]), st.binary(max_size=40))
def test_wrong_protocol_never_repeats_what_was_sent(sender: str, data: bytes) -> None:
    sentence = wrong_protocol(sender, b"\x00" + data, URL, LISTEN)
    assert sentence is None
