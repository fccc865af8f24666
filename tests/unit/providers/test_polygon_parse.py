"""Polygon frames become ticks, and what is wrong with them becomes a reason."""

from typing import Any

import orjson
import pytest

from marketstream.domain.market import Bar, Quote, Tick
from marketstream.domain.outcomes import Reason, Rejected
from marketstream.providers.polygon.parse import MAX_REFUSALS_PER_FRAME, Status, parse_frame, read_statuses

RECEIVED = 1_536_036_818_790_123
BAR_RECEIVED = 1_610_144_700_123_456
TRADE = b'{"ev":"T","sym":"MSFT","x":4,"i":"12345","z":3,"p":114.125,"s":100,"c":[0,12],"t":1536036818784,"q":3681328}'
QUOTE = (
    b'{"ev":"Q","sym":"MSFT","bx":4,"bp":114.125,"bs":100,"ax":7,"ap":114.128,"as":160,"c":0,"i":[604],'
    b'"t":1536036818784,"q":50385480,"z":3}'
)
MINUTE = (
    b'{"ev":"AM","sym":"GTE","v":4110,"av":9470157,"op":0.4372,"vw":0.4488,"o":0.4488,"c":0.4486,"h":0.4489,'
    b'"l":0.4486,"a":0.4352,"z":685,"s":1610144640000,"e":1610144700000}'
)
STATUS = b'{"ev":"status","status":"auth_success","message":"authenticated"}'


def frame(*events: bytes) -> bytes:
    return b"[" + b",".join(events) + b"]"


def changed(**fields: Any) -> bytes:
    """The trade with some fields set; None removes one."""
    trade = orjson.loads(TRADE) | fields
    return orjson.dumps({name: value for name, value in trade.items() if value is not None})


def replaced(old: bytes, new: bytes, event: bytes = TRADE) -> bytes:
    assert old in event
    return event.replace(old, new)


def only_tick(event: bytes) -> Tick:
    (tick,) = parse_frame(frame(event), RECEIVED)
    assert isinstance(tick, Tick)
    return tick


def only_refusal(event: bytes) -> Rejected:
    (refusal,) = parse_frame(frame(event), RECEIVED)
    assert isinstance(refusal, Rejected)
    assert refusal.raw == event
    assert (refusal.provider, refusal.received_time_us) == ("polygon", RECEIVED)
    return refusal


def test_a_trade_becomes_a_tick() -> None:
    assert only_tick(TRADE) == Tick(
        symbol="MSFT",
        price=114.125,
        size=100.0,
        event_time_us=1_536_036_818_784_000,
        received_time_us=RECEIVED,
        provider="polygon",
        trade_id="4-12345",
        sequence=3_681_328,
        asset_class="equity",
        exchange="4",
        conditions=("0", "12"),
    )


def test_text_is_taken_like_bytes() -> None:
    assert parse_frame(frame(TRADE).decode(), RECEIVED) == parse_frame(frame(TRADE), RECEIVED)


def test_the_size_with_its_fraction_counts_more_than_the_whole_one() -> None:
    assert only_tick(changed(s=0, ds="0.25")).size == 0.25
    assert only_tick(changed(s=None, ds="100.5")).size == 100.5


def test_ids_are_unique_per_venue_and_reporting_facility() -> None:
    events = [TRADE, changed(x=11), changed(trfi=201), changed(x=None)]
    assert [only_tick(event).trade_id for event in events] == ["4-12345", "11-12345", "4-201-12345", "12345"]


def test_optional_fields_may_be_absent() -> None:
    tick = only_tick(changed(c=None, q=None, x=None))
    assert (tick.conditions, tick.sequence, tick.exchange) == ((), 0, None)
    assert only_tick(replaced(b"[0,12]", b"null")).conditions == ()


def test_unknown_fields_are_ignored() -> None:
    assert only_tick(changed(trft=5, new={"deep": [1, "x", None]})) == only_tick(TRADE)


def test_the_last_of_a_duplicate_key_counts() -> None:
    assert only_tick(replaced(b'"p":114.125', b'"p":1,"p":"x","p":2.5')).price == 2.5


@pytest.mark.parametrize("event", [STATUS, b'{"ev":"LULD","x":[]}', b'{"ev":"NOI","p":-1}'])
def test_other_events_are_ignored(event: bytes) -> None:
    assert parse_frame(frame(event), RECEIVED) == []
    assert parse_frame(frame(event, TRADE), RECEIVED) == [only_tick(TRADE)]


def test_a_quote_counts_shares_and_not_lots() -> None:
    (quote,) = parse_frame(frame(QUOTE), RECEIVED)
    assert quote == Quote(
        symbol="MSFT",
        bid_price=114.125,
        bid_size=10_000.0,
        ask_price=114.128,
        ask_size=16_000.0,
        event_time_us=1_536_036_818_784_000,
        received_time_us=RECEIVED,
        provider="polygon",
        sequence=50_385_480,
    )


def test_a_quote_names_the_venue_where_both_sides_are_of_one() -> None:
    (quote,) = parse_frame(frame(replaced(b'"ax":7', b'"ax":4', QUOTE)), RECEIVED)
    assert isinstance(quote, Quote)
    assert quote.exchange == "4"


def test_a_minute_becomes_a_final_bar_with_its_own_average_price() -> None:
    (bar,) = parse_frame(frame(MINUTE), BAR_RECEIVED)
    assert bar == Bar(
        symbol="GTE",
        interval="1min",
        start_us=1_610_144_640_000_000,
        end_us=1_610_144_700_000_000,
        open=0.4488,
        high=0.4489,
        low=0.4486,
        close=0.4486,
        volume=4_110.0,
        vwap=0.4488,
        trade_count=6,
        last_event_time_us=1_610_144_699_999_999,
        last_received_time_us=BAR_RECEIVED,
        final=True,
        revision=BAR_RECEIVED,
        provider="polygon",
    )


def test_a_second_becomes_a_bar_of_a_second() -> None:
    event = replaced(b'"AM"', b'"A"', replaced(b"1610144700000", b"1610144641000", MINUTE))
    (bar,) = parse_frame(frame(event), BAR_RECEIVED)
    assert isinstance(bar, Bar)
    assert (bar.interval, bar.end_us - bar.start_us) == ("1s", 1_000_000)


@pytest.mark.parametrize(
    ("volume", "average", "count"),
    [(4_110, 685, 6), (100, 100, 1), (0, 0, 0), (5, 1, 0), (1_000_000, 100, 0), (7, 4, 2), (7, 3, 0)],
)
def test_trades_are_counted_only_where_their_average_size_leaves_one_number(
    volume: int, average: int, count: int
) -> None:
    event = replaced(b'"z":685', b'"z":%d' % average, replaced(b'"v":4110', b'"v":%d' % volume, MINUTE))
    (bar,) = parse_frame(frame(event), BAR_RECEIVED)
    assert isinstance(bar, Bar)
    assert bar.trade_count == count


def test_a_bar_may_lack_what_only_some_have() -> None:
    fields = orjson.loads(MINUTE)
    del fields["vw"], fields["z"]
    (bar,) = parse_frame(frame(orjson.dumps(fields)), BAR_RECEIVED)
    assert isinstance(bar, Bar)
    assert (bar.vwap, bar.trade_count) == (None, 0)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (replaced(b'"bp":114.125', b'"bp":0', QUOTE), Reason.NON_POSITIVE_PRICE),
        (replaced(b'"ap":114.128', b'"ap":-1', QUOTE), Reason.NON_POSITIVE_PRICE),
        (replaced(b'"ap":114.128', b'"ap":1e16', QUOTE), Reason.INVALID_FIELD),
        (replaced(b'"as":160', b'"as":-1', QUOTE), Reason.NEGATIVE_SIZE),
        (replaced(b'"bs":100', b'"bs":"1"', QUOTE), Reason.INVALID_FIELD),
        (replaced(b"1536036818784", b"-5", QUOTE), Reason.TIME_OUT_OF_RANGE),
        (replaced(b"1536036818784", b"631151999999", QUOTE), Reason.TIME_OUT_OF_RANGE),
        (replaced(b"1536036818784", b"9007199254740991", QUOTE), Reason.TIME_OUT_OF_RANGE),
        (replaced(b'"vw":0.4488', b'"vw":1e16', MINUTE), Reason.INVALID_FIELD),
        (replaced(b'"l":0.4486', b'"l":0.4487', MINUTE), Reason.INCONSISTENT_BAR),
        (replaced(b'"h":0.4489', b'"h":NaN', MINUTE), Reason.NOT_FINITE),
        (replaced(b'"o":0.4488', b'"o":0', MINUTE), Reason.NON_POSITIVE_PRICE),
        (replaced(b'"v":4110', b'"v":-1', MINUTE), Reason.NEGATIVE_SIZE),
        (replaced(b"1610144640000", b"1610144640001", MINUTE), Reason.INVALID_FIELD),
        (replaced(b"1610144700000", b"1610144640000", MINUTE), Reason.INVALID_FIELD),
        (replaced(b'"s":1610144640000', b'"s":-1', MINUTE), Reason.TIME_OUT_OF_RANGE),
        (replaced(b'"c":0.4486', b'"c":null', MINUTE), Reason.INVALID_FIELD),
    ],
)
def test_faults_of_quotes_and_bars_have_reasons(event: bytes, reason: Reason) -> None:
    (refusal,) = parse_frame(frame(event), BAR_RECEIVED)
    assert isinstance(refusal, Rejected)
    assert (refusal.reason, refusal.raw) == (reason, event)
    assert refusal.symbol in ("MSFT", "GTE")


def test_all_kinds_share_a_frame_in_their_order() -> None:
    outcomes = parse_frame(frame(QUOTE, TRADE, STATUS, MINUTE, changed(p=-1), TRADE), BAR_RECEIVED)
    assert [type(outcome) for outcome in outcomes] == [Quote, Tick, Bar, Rejected, Tick]
    assert [type(outcome) for outcome in parse_frame(frame(QUOTE, TRADE, MINUTE), BAR_RECEIVED)] == [Quote, Tick, Bar]


def test_an_empty_frame_holds_nothing() -> None:
    assert parse_frame(b" [ ] ", RECEIVED) == []


def test_one_bad_element_spoils_no_other() -> None:
    bad = changed(p=-1)
    first, second, third = parse_frame(frame(TRADE, bad, changed(i="2")), RECEIVED)
    assert first == only_tick(TRADE)
    assert second == only_refusal(bad)
    assert third == only_tick(changed(i="2"))


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (changed(p=-114.125), Reason.NON_POSITIVE_PRICE),
        (changed(p=0), Reason.NON_POSITIVE_PRICE),
        (changed(s=-1), Reason.NEGATIVE_SIZE),
        (changed(ds="-0.5"), Reason.NEGATIVE_SIZE),
        (replaced(b"114.125", b"NaN"), Reason.NOT_FINITE),
        (replaced(b"114.125", b"Infinity"), Reason.NOT_FINITE),
        (replaced(b"114.125", b"1e999"), Reason.NOT_FINITE),
        (changed(ds="NaN"), Reason.NOT_FINITE),
        (changed(ds="1e999"), Reason.NOT_FINITE),
        (changed(p="114.125"), Reason.INVALID_FIELD),
        (changed(p=True), Reason.INVALID_FIELD),
        (replaced(b"114.125", b"null"), Reason.INVALID_FIELD),
        (changed(p=[1]), Reason.INVALID_FIELD),
        (changed(s=True), Reason.INVALID_FIELD),
        (changed(ds=100), Reason.INVALID_FIELD),
        (changed(ds="1_000"), Reason.INVALID_FIELD),
        (changed(ds=" 1"), Reason.INVALID_FIELD),
        (changed(s=None), Reason.INVALID_FIELD),
        (changed(p=None), Reason.INVALID_FIELD),
        (changed(t=None), Reason.INVALID_FIELD),
        (changed(i=None), Reason.INVALID_FIELD),
        (changed(sym=None), Reason.INVALID_FIELD),
        (changed(i=12345), Reason.INVALID_FIELD),
        (changed(i=""), Reason.INVALID_FIELD),
        (changed(i="a\u0000b"), Reason.INVALID_FIELD),
        (changed(sym="MS FT"), Reason.INVALID_FIELD),
        (changed(sym="M" * 33), Reason.INVALID_FIELD),
        (changed(t="1536036818784"), Reason.INVALID_FIELD),
        (changed(t=1536036818784.5), Reason.INVALID_FIELD),
        (changed(t=True), Reason.INVALID_FIELD),
        (changed(t=-1), Reason.TIME_OUT_OF_RANGE),
        (replaced(b"1536036818784", b"9" * 40), Reason.TIME_OUT_OF_RANGE),
        (replaced(b"3681328", b"9" * 40), Reason.INVALID_FIELD),
        (changed(c=["a"]), Reason.INVALID_FIELD),
        (changed(c=[0] * 33), Reason.INVALID_FIELD),
        (changed(ev=5), Reason.MALFORMED),
        (changed(ev=None), Reason.MALFORMED),
        (b"7", Reason.MALFORMED),
        (b"[]", Reason.MALFORMED),
        (b'"T"', Reason.MALFORMED),
        (TRADE[:-1] + b',"note":"\xff"}', Reason.MALFORMED),
        (TRADE[:-1] + b',"deep":' + b"[" * 500 + b"]" * 500 + b"}", Reason.MALFORMED),
        (replaced(b"114.125", b"1" * 5_000), Reason.MALFORMED),
        (replaced(b"114.125", b"+1"), Reason.MALFORMED),
    ],
)
def test_faults_have_reasons(event: bytes, reason: Reason) -> None:
    assert only_refusal(event).reason is reason


def test_a_refusal_names_the_symbol_and_the_field() -> None:
    refusal = only_refusal(changed(p=-1))
    assert refusal.symbol == "MSFT"
    assert refusal.detail.startswith("p: ")
    assert only_refusal(changed(sym=5)).symbol is None


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"garbage",
        b"\x00\xff\xfe",
        b"{}",
        b"null",
        TRADE,
        frame(TRADE)[:-1],
        frame(TRADE)[:40],
        frame(TRADE) + b"x",
        frame(TRADE) + frame(TRADE),
        b"[" * 100_000,
        b'["' + b"a" * 100_000,
    ],
)
def test_what_is_no_array_is_refused_whole(raw: bytes) -> None:
    (refusal,) = parse_frame(raw, RECEIVED)
    assert isinstance(refusal, Rejected)
    assert (refusal.reason, refusal.raw) == (Reason.MALFORMED, raw)
    assert refusal.detail


def test_a_flood_of_bad_elements_shares_a_last_refusal() -> None:
    outcomes = parse_frame(frame(TRADE, *[b"0"] * (MAX_REFUSALS_PER_FRAME + 5), changed(i="2")), RECEIVED)
    refusals = [outcome for outcome in outcomes if isinstance(outcome, Rejected)]
    assert len(refusals) == MAX_REFUSALS_PER_FRAME + 1
    assert refusals[-1].detail.startswith("5 further elements")
    assert [outcome.trade_id for outcome in outcomes if isinstance(outcome, Tick)] == ["4-12345", "4-2"]


def test_statuses_are_read_beside_trades() -> None:
    assert read_statuses(frame(STATUS)) == [Status("auth_success", "authenticated")]
    assert read_statuses(frame(TRADE, b'{"ev":"status","status":"success"}')) == [Status("success", "")]
    assert read_statuses(frame(TRADE)) == []
    assert read_statuses(b'{"status"') == []
    assert read_statuses(frame(b'{"ev":"status","status":5}')) == []
