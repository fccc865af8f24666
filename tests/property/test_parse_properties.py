"""Parsers take any bytes, and what they accept is what was sent."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketstream.contracts.messages import DeadLetter, decode_dead_letter, decode_tick, encode
from marketstream.domain.market import Tick
from marketstream.domain.outcomes import Parsed, Rejected
from marketstream.providers._template.parse import parse_frame as parse_template
from marketstream.providers._template.parse import read_controls
from marketstream.providers.binance.parse import parse_frame as parse_binance
from marketstream.providers.binance.parse import read_control
from marketstream.providers.frames import split_array
from marketstream.providers.polygon.parse import parse_frame as parse_polygon
from marketstream.providers.polygon.parse import read_statuses

ParseFrame = Callable[[bytes, int], list[Parsed]]
RECEIVED = 1_700_000_000_000_000

prices = st.floats(min_value=1e-8, max_value=1e9, allow_nan=False)
sizes = st.floats(min_value=0, max_value=1e12, allow_nan=False)
times_ms = st.integers(min_value=0, max_value=2**53 - 1)
sequences = st.integers(min_value=0, max_value=2**63 - 1)
identifiers = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=32)
symbols = st.from_regex(r"[A-Z.]{1,12}", fullmatch=True)
numbers = st.one_of(st.integers(), st.floats(), st.booleans(), st.text(max_size=5), st.none())

polygon_trades = st.fixed_dictionaries(
    {"ev": st.just("T"), "sym": symbols, "i": identifiers, "p": prices, "s": sizes, "t": times_ms},
    optional={
        "x": st.integers(min_value=0, max_value=99),
        "q": sequences,
        "c": st.lists(st.integers(min_value=0, max_value=99), max_size=4),
    },
)
binance_trades = st.fixed_dictionaries(
    {
        "e": st.just("aggTrade"),
        "s": symbols,
        "a": sequences,
        "p": prices.map(repr),
        "q": sizes.map(repr),
        "T": times_ms,
        "m": st.booleans(),
    }
)
# Frames that look right and hold anything: trades with some fields replaced.
broken_polygon = st.lists(
    st.builds(
        lambda trade, changes: {**trade, **changes},
        polygon_trades,
        st.dictionaries(st.sampled_from(["ev", "sym", "i", "p", "s", "ds", "t", "x", "q", "c"]), numbers),
    ),
    max_size=4,
)
broken_binance = st.builds(
    lambda trade, changes: {"stream": "x@aggTrade", "data": {**trade, **changes}},
    binance_trades,
    st.dictionaries(st.sampled_from(["e", "s", "a", "p", "q", "T", "m"]), numbers),
)
fragments = st.sampled_from(
    [b"[", b"]", b"{", b"}", b'"', b",", b":", b"\\", b"\xff", b'"ev"', b'"T"', b'"status"', b"1e999", b"NaN", b" "]
)
scraps = st.lists(st.one_of(fragments, st.binary(max_size=3)), max_size=60).map(b"".join)


def dumps(value: Any) -> bytes:
    import json

    return json.dumps(value).encode()  # writes NaN and huge integers, as a broken sender might


def check(parse: ParseFrame, raw: bytes) -> None:
    """Whatever comes out can be published and read back unchanged."""
    for outcome in parse(raw, RECEIVED):
        if isinstance(outcome, Rejected):
            assert outcome.detail
            letter = DeadLetter.of(outcome)
            assert decode_dead_letter(encode(letter)) == letter
            assert outcome.raw in raw
        else:
            assert decode_tick(encode(outcome)) == outcome


@pytest.mark.parametrize("parse", [parse_polygon, parse_binance, parse_template])
@given(raw=st.one_of(st.binary(), scraps, broken_polygon.map(dumps), broken_binance.map(dumps)))
def test_any_bytes_become_outcomes(parse: ParseFrame, raw: bytes) -> None:
    check(parse, raw)
    check(parse, b"[" + raw + b"]")


@given(raw=st.one_of(st.binary(), scraps))
def test_control_readers_take_any_bytes(raw: bytes) -> None:
    read_control(raw)
    read_controls(raw)
    read_statuses(raw)


@given(text=st.text())
def test_any_text_is_taken(text: str) -> None:
    for parse in (parse_polygon, parse_binance, parse_template):
        parse(text, RECEIVED)


@given(trades=st.lists(polygon_trades, max_size=5))
def test_polygon_trades_come_out_as_sent(trades: list[dict[str, Any]]) -> None:
    outcomes = parse_polygon(orjson.dumps(trades), RECEIVED)
    assert len(outcomes) == len(trades)
    for tick, trade in zip(outcomes, trades, strict=True):
        assert isinstance(tick, Tick)
        assert (tick.symbol, tick.price, tick.size) == (trade["sym"], trade["p"], trade["s"])
        assert (tick.event_time_us, tick.sequence) == (trade["t"] * 1_000, trade.get("q", 0))
        assert tick.conditions == tuple(map(str, trade.get("c", ())))


@given(trade=binance_trades, wrapped=st.booleans())
def test_binance_trades_come_out_as_sent(trade: dict[str, Any], wrapped: bool) -> None:
    frame = {"stream": f"{trade['s'].lower()}@aggTrade", "data": trade} if wrapped else trade
    (tick,) = parse_binance(orjson.dumps(frame), RECEIVED)
    assert isinstance(tick, Tick)
    assert (tick.symbol, tick.price, tick.size) == (trade["s"], float(trade["p"]), float(trade["q"]))
    assert (tick.event_time_us, tick.trade_id) == (trade["T"] * 1_000, str(trade["a"]))


@given(trades=st.lists(polygon_trades, max_size=4), broken=broken_polygon)
def test_bad_elements_change_nothing_about_good_ones(trades: list[dict[str, Any]], broken: list[Any]) -> None:
    alone = parse_polygon(orjson.dumps(trades), RECEIVED)
    mixed = parse_polygon(dumps([*broken, *trades]), RECEIVED)
    assert mixed[len(mixed) - len(alone) :] == alone


@given(values=st.lists(st.recursive(numbers, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))))
def test_arrays_are_cut_where_json_says(values: list[Any]) -> None:
    elements = split_array(dumps(values))
    assert elements is not None
    assert [dumps(value) for value in values] == elements
