"""Every provider's parser on 30,000 damaged frames: whatever comes in, only sound outcomes come out.

The frames and the damage are the same in every run. What a client reads of a frame beside its outcomes, answers and
notices, is read of the same frames.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, get_args, get_type_hints

import pytest

from marketstream.contracts import messages
from marketstream.contracts.messages import DeadLetter, encode
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Cancel, Quote, Tick
from marketstream.domain.outcomes import Parsed, Rejected
from marketstream.producers.dead_letters.adapters import parser_of
from marketstream.providers.alpha_vantage.refusals import refusal_of
from marketstream.providers.binance.parse import read_control as read_binance
from marketstream.providers.finage.refusals import read_notice
from marketstream.providers.finazon.parse import read_control as read_finazon
from marketstream.providers.fmp.refusals import read_answer
from marketstream.providers.polygon.parse import read_statuses
from marketstream.settings import Settings
from mutations import KEY, Mutator
from specimens import NOW, SPECIMENS

FRAMES = 30_000  # per provider
EARLIEST, LATEST = 631_152_000_000_000, NOW + 86_400_000_000  # 1990, and a day ahead
LARGEST = 1e15
KAFKA_LIMIT = 1_048_576
VALUE_LIMIT = 4_096  # what no trade, quote, cancel or bar exceeds as a message
SETTINGS = Settings(
    symbols=["AAPL", "MSFT", "GTE", "TSLA", "GOOGL", "BTCUSD", "GBPUSD", "XAUUSD", "BNBBTC", "BTCUSDT", "BTCUSDT-PERP"]
)
PRINTABLE = frozenset(map(chr, range(0x21, 0x7F)))
DECODERS: dict[type, Callable[[bytes], object]] = {
    Tick: messages.decode_tick,
    Quote: messages.decode_quote,
    Cancel: messages.decode_cancel,
    Bar: messages.decode_bar,
}
# What a client reads beside outcomes.
READERS: dict[str, Callable[[bytes], object]] = {
    "polygon": read_statuses,
    "finage": read_notice,
    "fmp": read_answer,
    "finazon": read_finazon,
    "alpha_vantage": lambda body: refusal_of(200, body, lambda: 1.0),
    "binance": read_binance,
    "binance_usdm": read_binance,
}
KINDS: dict[str, set[type]] = {
    "polygon": {Tick, Quote, Bar},
    "finage": {Tick, Quote},
    "fmp": {Tick, Quote, Cancel},
    "finazon": {Bar},
    "alpha_vantage": {Bar},
    "binance": {Tick, Quote, Bar},
    "binance_usdm": {Tick, Quote, Bar},
}


def types_of(annotation: Any) -> frozenset[type]:
    """The exact types that a field may have."""
    if isinstance(annotation, type):
        return frozenset({annotation})
    if str(annotation).startswith("typing.Literal"):
        return frozenset(map(type, get_args(annotation)))
    if str(annotation).startswith("tuple"):
        return frozenset({tuple})
    return frozenset().union(*map(types_of, get_args(annotation)))


FIELDS = {
    kind: [(name, types_of(annotation)) for name, annotation in get_type_hints(kind).items()]
    for kind in (*DECODERS, Rejected)
}


def check(outcome: Parsed, frame: bytes, provider: str) -> None:
    """Fails for an outcome that the platform could not hold."""
    for name, types in FIELDS[type(outcome)]:
        value = getattr(outcome, name)
        assert type(value) in types, (name, value)
    assert outcome.provider == provider
    if isinstance(outcome, Rejected):
        check_refusal(outcome, frame)
        return
    assert PRINTABLE.issuperset(outcome.symbol)
    assert 0 < len(outcome.symbol) <= 37
    assert outcome.symbol == outcome.symbol.upper()
    match outcome:
        case Tick():
            check_tick(outcome)
        case Quote():
            check_numbers((outcome.bid_price, outcome.ask_price), (outcome.bid_size, outcome.ask_size))
            check_moment(outcome.event_time_us, outcome.received_time_us)
        case Cancel():
            check_numbers((outcome.price,), (outcome.size,))
            check_moment(outcome.event_time_us, outcome.received_time_us)
        case Bar():
            check_bar(outcome)
    message = encode(outcome)
    assert len(message) <= VALUE_LIMIT
    assert DECODERS[type(outcome)](message) == outcome


def check_tick(tick: Tick) -> None:
    check_numbers((tick.price,), (tick.size,))
    assert tick.received_time_us == NOW
    # Before 1990 and ahead of now are `TickValidator`'s to refuse.
    assert 0 <= tick.event_time_us < 2**63
    assert 0 <= tick.sequence < 2**63
    assert tick.trade_id
    assert PRINTABLE.issuperset(tick.trade_id)
    assert PRINTABLE.issuperset(tick.exchange or "")
    assert all(type(condition) is str and condition.isdigit() for condition in tick.conditions)


def check_bar(bar: Bar) -> None:
    vwap = bar.low if bar.vwap is None else bar.vwap
    check_numbers((bar.open, bar.high, bar.low, bar.close, vwap), (bar.volume,))
    assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
    check_moment(bar.start_us, bar.last_received_time_us)
    interval = Interval.parse(bar.interval)
    assert (bar.interval, bar.start_us % interval.us, bar.end_us) == (interval.name, 0, bar.start_us + interval.us)
    assert bar.start_us <= bar.last_event_time_us < bar.end_us
    assert 0 <= bar.trade_count < 2**63
    assert bar.revision == NOW


def check_numbers(prices: tuple[float, ...], sizes: tuple[float, ...]) -> None:
    """No NaN passes a comparison."""
    assert all(0 < price <= LARGEST for price in prices), prices
    assert all(0 <= size <= LARGEST for size in sizes), sizes


def check_moment(time_us: int, received_us: int) -> None:
    assert received_us == NOW
    assert EARLIEST <= time_us <= LATEST, time_us


def check_refusal(refusal: Rejected, frame: bytes) -> None:
    assert refusal.detail.strip()
    assert len(refusal.detail) <= messages.MAX_DETAIL_CHARACTERS
    assert KEY not in refusal.detail
    assert refusal.received_time_us == NOW
    assert refusal.symbol is None or (0 < len(refusal.symbol) <= 37 and PRINTABLE.issuperset(refusal.symbol))
    # Its own bytes of the frame; Alpha Vantage's bars are written anew, with no number longer than 24 characters.
    assert refusal.raw in frame or (refusal.provider == "alpha_vantage" and len(refusal.raw) <= 24 * len(frame))
    letter = DeadLetter.of(refusal)
    message = encode(letter)
    assert len(message) < KAFKA_LIMIT
    assert messages.decode_dead_letter(message) == letter


@pytest.mark.parametrize("provider", SPECIMENS)
def test_damaged_frames_become_sound_outcomes_or_refusals(provider: str) -> None:
    parse, read = parser_of(provider, SETTINGS), READERS[provider]
    assert parse is not None
    counts: Counter[type] = Counter()
    for number, frame in enumerate(Mutator(SPECIMENS[provider](), seed=20_240_430).frames(FRAMES)):
        try:
            outcomes = parse(frame, NOW)
            read(frame)
            for outcome in outcomes:
                check(outcome, frame, provider)
        except Exception as error:
            error.add_note(f"frame {number}: {frame[:2_000]!r}")
            raise
        counts.update(map(type, outcomes))
    # Damage that leaves nothing whole, or everything, would prove nothing.
    assert all(counts[kind] > FRAMES // 100 for kind in (*KINDS[provider], Rejected)), counts
    assert set(counts) == {*KINDS[provider], Rejected}
