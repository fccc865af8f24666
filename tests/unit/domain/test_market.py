"""Ticks and bars refuse what can't be."""

import copy
import pickle
from dataclasses import FrozenInstanceError, asdict, replace
from itertools import pairwise
from math import inf, nan

import orjson
import pytest
from pydantic import TypeAdapter, ValidationError

from marketstream.domain.market import Bar, Tick

TICK = Tick(
    symbol="IBM",
    price=181.25,
    size=100.0,
    event_time_us=1_381_152_600_000_000,
    received_time_us=1_381_152_600_004_000,
    provider="polygon",
    trade_id="7",
)
BAR = Bar(
    symbol="IBM",
    interval="1min",
    start_us=0,
    end_us=60_000_000,
    open=2.0,
    high=4.0,
    low=1.0,
    close=3.0,
    volume=10.0,
    vwap=2.5,
    trade_count=5,
    last_event_time_us=59_000_000,
    last_received_time_us=59_000_500,
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"price": nan}, "price is not finite"),
        ({"price": inf}, "price is not finite"),
        ({"price": 0.0}, "price is not positive"),
        ({"price": -1.0}, "price is not positive"),
        ({"size": nan}, "size is not finite"),
        ({"size": -inf}, "size is not finite"),
        ({"size": -0.5}, "size is negative"),
        ({"price": 1.1e15}, "beyond 1e\\+15"),
        ({"size": 1.1e15}, "beyond 1e\\+15"),
        ({"symbol": ""}, "must not be empty"),
        ({"provider": ""}, "must not be empty"),
        ({"trade_id": ""}, "must not be empty"),
        ({"sequence": 2**63}, "beyond 64 bits"),
        ({"event_time_us": -(2**63) - 1}, "beyond 64 bits"),
        ({"received_time_us": 2**63}, "beyond 64 bits"),
        ({"trade_id": "a\0b"}, "NUL"),
        ({"exchange": "\0"}, "NUL"),
        ({"conditions": ("@", "\0")}, "NUL"),
    ],
)
def test_a_tick_refuses(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TICK, **change)


@pytest.mark.parametrize("change", [{"size": 0.0}, {"sequence": 2**63 - 1}, {"price": 5e-324}, {"exchange": "Ä"}])
def test_a_tick_accepts_the_edge(change: dict[str, object]) -> None:
    tick = replace(TICK, **change)
    assert all(getattr(tick, name) == value for name, value in change.items())


def test_a_tick_holds_what_it_was_given_and_its_defaults() -> None:
    given = {"sequence": 3, "asset_class": "crypto", "exchange": "4", "side": "sell", "conditions": ("@", "T")}
    assert asdict(replace(TICK, **given)) == asdict(TICK) | given
    defaults = (TICK.sequence, TICK.asset_class, TICK.exchange, TICK.side, TICK.conditions)
    assert defaults == (0, "equity", None, None, ())


def test_ticks_compare_hash_and_travel_by_value() -> None:
    same, other = replace(TICK), replace(TICK, trade_id="8")
    assert same == TICK != other
    assert {TICK, same, other} == {TICK, other}
    assert copy.copy(TICK) == pickle.loads(pickle.dumps(TICK)) == TICK  # noqa: S301  # our own, a line above
    assert not hasattr(TICK, "__dict__")


def test_a_tick_filled_without_its_constructor_is_checked_too() -> None:
    wire = orjson.dumps(TICK)
    assert TypeAdapter(Tick).validate_json(wire) == TICK
    with pytest.raises(ValidationError, match="price is not positive"):
        TypeAdapter(Tick).validate_json(wire.replace(b"181.25", b"-181.25"))


def test_a_tick_is_frozen_and_ordered_by_event_time_then_sequence() -> None:
    with pytest.raises(FrozenInstanceError):
        TICK.price = 1.0  # type: ignore[misc]  # that is the point
    later = replace(TICK, sequence=1)
    assert TICK.order < later.order < replace(TICK, event_time_us=TICK.event_time_us + 1).order


@pytest.mark.parametrize(
    "change",
    [
        {"low": 2.5},  # above the open
        {"high": 2.9},  # below the close
        {"open": 4.5},
        {"close": 0.5},
        {"vwap": nan},
        {"volume": inf},
        {"volume": -1.0},
        {"trade_count": 0},
        {"end_us": 0},
        {"cancelled": -1},
        {"cancelled": 1, "provider": "finazon"},
    ],
)
def test_a_bar_refuses(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"bar|low <= open"):
        replace(BAR, **change)


def test_versions_of_a_bar_sort_by_trades_seen_then_taken_out_then_final_then_revision() -> None:
    versions = [
        BAR,
        replace(BAR, final=True),
        replace(BAR, final=True, revision=1),
        replace(BAR, trade_count=4, cancelled=1),
        replace(BAR, trade_count=4, cancelled=1, final=True, revision=2),
        replace(BAR, trade_count=0, cancelled=5),
        replace(BAR, trade_count=6),
        replace(BAR, trade_count=5, cancelled=1),
        replace(BAR, start_us=60_000_000, end_us=120_000_000, trade_count=1),
    ]
    assert all(older.version < newer.version for older, newer in pairwise(versions))


def test_a_bar_without_any_trade_left_is_void() -> None:
    assert replace(BAR, trade_count=0, cancelled=5).void
    assert not BAR.void
    assert not replace(BAR, trade_count=0, provider="finazon", vwap=None).void
