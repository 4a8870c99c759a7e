"""Records survive any splitting of the pipe."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy_addon.tap import Record, TapReader, What, encode

records = st.lists(
    st.builds(
        Record,
        st.sampled_from(What),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**62),
        st.integers(0, 2**32 - 1),
        st.binary(max_size=60),
    ),
    max_size=8,
)


@given(records, st.data())
def test_reader_any_split_gives_the_records(sent: list[Record], data: st.DataObject) -> None:
    stream = b"".join(encode(*record) for record in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    reader = TapReader()
    got: list[Record] = []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += reader.receive(stream[begin:end])
    assert got == sent


def test_encode_cost_beyond_four_seconds_is_capped() -> None:
    (record,) = TapReader().receive(encode(What.LAG, 0, 1, 10**12))
    assert record.cost_ns == 2**32 - 1


def test_record_json_reads_its_payload() -> None:
    assert Record(What.OPENED, 1, 0, 0, b'{"upstream": 1}').json() == {"upstream": 1}
    assert Record(What.GAP, 1, 0, 0, b"").json() == {}
