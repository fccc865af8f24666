"""Turns a batch of messages into what they carry, naming every message that doesn't fit its topic."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from marketstream.contracts import topics
from marketstream.contracts.messages import (
    FeedEvent,
    decode_bar,
    decode_cancel,
    decode_feed_event,
    decode_indicators,
    decode_quote,
    decode_tick,
)
from marketstream.domain.errors import StoreError
from marketstream.domain.indicators import Indicators
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Cancel, Quote, Tick
from marketstream.ports import Message

BarKey = tuple[str, str, int]  # (symbol, interval, start_us)
Versioned = TypeVar("Versioned", Bar, Indicators)


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A message that doesn't fit its topic's schema."""

    message: Message
    detail: str


class UndecodableError(StoreError):
    """Some messages of a batch don't fit their topic's schema; nothing of the batch was stored.

    Args:
        faults: Each such message, with what is wrong with it.
    """

    def __init__(self, faults: Sequence[Undecodable]) -> None:
        super().__init__(f"{len(faults)} undecodable; the first: {faults[0].detail}")
        self.faults = faults


@dataclass(slots=True)
class Decoded:
    """What a batch holds, in its order, each with the message that carried it."""

    ticks: list[tuple[Message, Tick]] = field(default_factory=list)
    bars: list[tuple[Message, Bar]] = field(default_factory=list)
    indicators: list[tuple[Message, Indicators]] = field(default_factory=list)
    quotes: list[tuple[Message, Quote]] = field(default_factory=list)
    feed_events: list[tuple[Message, FeedEvent]] = field(default_factory=list)
    cancels: list[tuple[Message, Cancel]] = field(default_factory=list)


def decode(batch: Sequence[Message]) -> Decoded:
    """Reads every message of a batch.

    Raises:
        UndecodableError: At least one message is none of its topic.
    """
    decoded = Decoded()
    faults: list[Undecodable] = []
    for message in batch:
        try:
            match message.topic:
                case topics.TICKS:
                    decoded.ticks.append((message, decode_tick(message.value)))
                case topics.QUOTES:
                    decoded.quotes.append((message, decode_quote(message.value)))
                case topics.CANCELS:
                    decoded.cancels.append((message, decode_cancel(message.value)))
                case topics.FEED_EVENTS:
                    decoded.feed_events.append((message, _feed_event(message)))
                case topics.INDICATORS:
                    decoded.indicators.append((message, _indicators(message)))
                case topics.PROVIDER_BARS:
                    decoded.bars.append((message, _provider_bar(message)))
                case _:
                    decoded.bars.append((message, _computed_bar(message)))
        except ValueError as error:
            faults.append(Undecodable(message, str(error)))
    if faults:
        raise UndecodableError(faults)
    return decoded


def _computed_bar(message: Message) -> Bar:
    bar = decode_bar(message.value)
    if message.topic != topics.BARS_PREFIX + bar.interval:
        raise ValueError(f"a {bar.interval} bar on {message.topic}")
    if bar.provider is not None:
        raise ValueError(f"a bar of {bar.provider} on {message.topic}, where the ones made here are")
    return bar


def _provider_bar(message: Message) -> Bar:
    bar = decode_bar(message.value)
    if not bar.provider:
        raise ValueError(f"a bar without its provider on {message.topic}")
    _check_interval(bar.interval)
    return bar


def _indicators(message: Message) -> Indicators:
    indicators = decode_indicators(message.value)
    _check_interval(indicators.interval)
    for name in indicators.values:  # in InfluxDB it stands beside the bar's own fields
        if not (name.isidentifier() and name.isascii()) or name in Indicators.__slots__:
            raise ValueError(f"{name!r} can be no indicator's name")
    return indicators


def _check_interval(name: str) -> None:
    if Interval.parse(name).name != name:  # it would be a second bar beside the one made here
        raise ValueError(f"{name} is not an interval's own name, {Interval.parse(name).name}")


def _feed_event(message: Message) -> FeedEvent:
    event = decode_feed_event(message.value)
    gap = event.gap
    texts = (event.provider, event.detail) + ((gap.gap_id, gap.provider, gap.symbol, gap.detail) if gap else ())
    if any("\0" in text for text in texts):  # PostgreSQL can't hold it
        raise ValueError("a text holds a NUL character")
    return event


def newest_bars(bars: list[tuple[Message, Bar]]) -> dict[BarKey, Bar]:
    """The newest version of each bar."""
    return _newest(bars, lambda bar, known: bar.version > known.version)


def newest_indicators(indicators: list[tuple[Message, Indicators]]) -> dict[BarKey, Indicators]:
    """Each bar's indicators of its newest version; of equals the later to arrive, which may have been corrected."""
    return _newest(indicators, lambda each, known: each.version >= known.version)


def _newest(
    items: list[tuple[Message, Versioned]], replaces: Callable[[Versioned, Versioned], bool]
) -> dict[BarKey, Versioned]:
    newest: dict[BarKey, Versioned] = {}
    for _, item in items:
        key = (item.symbol, item.interval, item.start_us)
        known = newest.get(key)
        if known is None or replaces(item, known):
            newest[key] = item
    return newest
