"""The template's parser keeps the promises it asks of adapters."""

import orjson
import pytest

from marketstream.domain.market import Tick
from marketstream.domain.outcomes import Reason, Rejected
from marketstream.providers._template.parse import Control, parse_frame, read_controls

TRADE = {"type": "trade", "symbol": "ibm", "id": "7", "price": 182.5, "size": 100, "time_ms": 1_700_000_000_123}


def test_each_line_stands_for_itself() -> None:
    bad = orjson.dumps(TRADE | {"price": -1})
    quote = b'{"type":"quote"}'
    first, second = parse_frame(b"\n".join([orjson.dumps(TRADE), b"", quote, bad]), 5)
    assert first == Tick(
        symbol="IBM",
        price=182.5,
        size=100.0,
        event_time_us=1_700_000_000_123_000,
        received_time_us=5,
        provider="template",
        trade_id="7",
    )
    assert isinstance(second, Rejected)
    assert (second.raw, second.reason, second.symbol) == (bad, Reason.NON_POSITIVE_PRICE, "IBM")


@pytest.mark.parametrize("line", [b"x", b"[]", b'{"type":1}', b"{}", b"\xff"])
def test_a_line_without_a_type_is_malformed(line: bytes) -> None:
    (refusal,) = parse_frame(line, 5)
    assert isinstance(refusal, Rejected)
    assert refusal.reason is Reason.MALFORMED


def test_controls_are_read_beside_trades() -> None:
    raw = orjson.dumps(TRADE) + b'\n{"type":"subscribed"}\n{"type":"error","message":"no"}'
    assert read_controls(raw) == [Control("subscribed", ""), Control("error", "no")]
