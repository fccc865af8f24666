import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketstream.lake.datasets import BAR_ROWS, DATASETS, TICK_ROWS
from marketstream.lake.places import LAST_US, Partition, Span, date_of, escape, span_for, unescape

DAY = date(2026, 1, 2)
AWKWARD = (
    "BRK.B",
    "EUR/USD",
    "..",
    ".",
    "A=B",
    "50%",
    "%41",
    "A B",
    "C:\\X",
    "?*[x]{y}",
    "a+b",
    "ÄÖ",
    "BTC-PERP",
    "\n",
)


@pytest.mark.parametrize("symbol", AWKWARD)
def test_an_awkward_symbol_is_one_harmless_folder_and_comes_back(symbol):
    partition = Partition("ticks", "", DAY, symbol)
    assert partition.path.count("/") == 2
    assert not re.search(r"[\\?*\[\]{}:+ \n]", partition.path)
    assert Partition.parse(TICK_ROWS, partition.path) == partition


@given(st.text(min_size=1), st.text(min_size=1))
def test_different_symbols_have_different_folders(one, other):
    assert unescape(escape(one)) == one
    assert (escape(one) == escape(other)) == (one == other)


def test_a_symbol_whose_folder_would_have_too_long_a_name_is_known():
    lengths = {"A" * 64: True, "/" * 64: True, "\U00010348" * 62: True, "\U00010348" * 63: False, "Ä" * 64: True}
    assert {symbol: Partition("ticks", "", DAY, symbol).nameable for symbol in lengths} == lengths


def test_bars_have_a_level_for_their_interval():
    partition = Partition("bars", "5min", DAY, "A")
    assert partition.path == "bars/interval=5min/date=2026-01-02/symbol=A"
    assert Partition.parse(BAR_ROWS, partition.path) == partition


@pytest.mark.parametrize("path", ["ticks/date=soon/symbol=A", "ticks/symbol=A", "other/date=2026-01-02/symbol=A"])
def test_other_folders_are_no_partitions(path):
    assert Partition.parse(TICK_ROWS, path) is None


def test_a_file_is_named_by_what_it_covers_of_the_day():
    assert Span(780, 840).file_name == "1300-1400.parquet"
    assert Span.parse("0000-2400.parquet") == Span(0, 1_440)
    assert [Span.parse(name) for name in ("2500-2600.parquet", "1400-1300.parquet", ".1300.tmp", "x.parquet")] == [
        None
    ] * 4


def test_a_row_belongs_to_the_file_that_covers_it_else_to_a_new_one_beside():
    existing = [Span(0, 90), Span(150, 180)]
    assert span_for(89, existing, 60) == Span(0, 90)
    assert span_for(100, existing, 60) == Span(90, 120)
    assert span_for(149, existing, 60) == Span(120, 150)
    assert span_for(179, existing, 60) == Span(150, 180)
    assert span_for(1_439, existing, 60) == Span(1_380, 1_440)


@given(st.lists(st.tuples(st.integers(0, 1_439), st.sampled_from([1, 5, 15, 60, 1_440]))))
def test_spans_never_overlap_however_the_width_changes(steps):
    spans: list[Span] = []
    for minute, width in steps:
        span = span_for(minute, sorted(spans), width)
        assert span.holds(minute)
        if span not in spans:
            assert all(span.end <= other.start or other.end <= span.start for other in spans)
            spans.append(span)


def test_dates_are_utc_to_the_last_microsecond():
    assert date_of(0) == date(1970, 1, 1)
    assert date_of(86_400_000_000 - 1) == date(1970, 1, 1)
    assert date_of(LAST_US) == date(9999, 12, 31)


def test_columns_are_the_messages_fields():
    assert TICK_ROWS.schema.names[:4] == ["symbol", "price", "size", "event_time_us"]
    assert set(TICK_ROWS.required) == {
        "symbol", "price", "size", "event_time_us", "received_time_us", "provider", "trade_id"
    }  # fmt: skip
    assert BAR_ROWS.defaults["final"] is False
    for dataset in DATASETS.values():
        assert {*dataset.key, *dataset.order, dataset.time} <= set(dataset.schema.names)
