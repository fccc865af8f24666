"""What is exported: REST's own address of it, from choices and from links."""

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from marketstream.serving.dashboard.export.order import Order, from_link

NOW_US = 1_700_000_000_000_000
ORDER = Order(data="ticks", symbols=("A", "B"), window="1min", span="1h", start="", end="", form="csv")


def test_the_address_is_rests() -> None:
    address = urlsplit(ORDER.address(NOW_US))
    assert address.path == "/api/v1/export/ticks"
    start = str(NOW_US - 3_600_000_000)
    assert parse_qs(address.query) == {"symbol": ["A,B"], "start": [start], "format": ["csv"]}


def test_bars_have_a_length_and_everything_has_no_range() -> None:
    order = replace(ORDER, data="aggregated", symbols=(), span="all", form="parquet")
    assert order.address(NOW_US) == "/api/v1/export/aggregated?window=1min&format=parquet"


def test_a_custom_range_is_in_utc() -> None:
    order = replace(ORDER, span="custom", start="2023-11-14 22:13:20", end="2023-11-14T22:13:21+00:00")
    assert order.between(NOW_US) == (NOW_US, NOW_US + 1_000_000)
    assert replace(order, start="", end="").between(NOW_US) == (None, None)


@pytest.mark.parametrize(
    ("start", "end"), [("soon", ""), ("2023-11-14 22:13:21", "2023-11-14 22:13:20"), ("2100-01-01", "")]
)
def test_a_range_that_is_none_says_so(start: str, end: str) -> None:
    with pytest.raises(ValueError, match=r"no time|before it starts"):
        replace(ORDER, span="custom", start=start, end=end).address(NOW_US)


def test_a_link_chooses_everything() -> None:
    query = "?data=indicators&symbol=B&window=5min&range=7d&format=arrow"
    order, fault = from_link(query, ["A", "B"], ["1min", "5min"], "1min")
    assert order == Order(data="indicators", symbols=("B",), window="5min", span="7d", start="", end="", form="arrow")
    assert fault is None
    assert from_link("", ["A", "B"], ["1min"], "1min")[0].symbols == ("A",)
    assert from_link("?symbol=", ["A", "B"], ["1min"], "1min")[0].symbols == ()
    assert "format" in (from_link("?format=xls", ["A"], ["1min"], "1min")[1] or "")
