"""Reads a dead letter again: what of it can be published today, and what is still wrong with the rest."""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from marketstream.contracts import topics
from marketstream.contracts.messages import DeadLetter, decode_bar, decode_cancel, decode_quote, decode_tick
from marketstream.domain.market import Bar, Cancel, Quote, Tick
from marketstream.domain.outcomes import Parsed, Reason, Rejected
from marketstream.ports import Clock
from marketstream.producers.dead_letters.adapters import Parse

_EARLIEST_US = 631_152_000_000_000  # 1990-01-01
_DAY_US = 86_400_000_000
_PLACE = re.compile(r"([A-Za-z0-9._-]{1,249})\[(\d{1,9})\]@(\d{1,18}): ", re.ASCII)
_TOPIC_OF: dict[type, str] = {
    Tick: topics.TICKS,
    Quote: topics.QUOTES,
    Cancel: topics.CANCELS,
    Bar: topics.PROVIDER_BARS,
}
_DECODERS: dict[str, Callable[[bytes], Tick | Quote | Cancel | Bar]] = {
    topics.TICKS: decode_tick,
    topics.QUOTES: decode_quote,
    topics.CANCELS: decode_cancel,
    topics.PROVIDER_BARS: decode_bar,
}


class _Counted(TypedDict):
    """The fields by which the bars' query knows a trade; it takes no number in quotes."""

    symbol: str
    price: float
    size: float
    event_time_us: int


_COUNTED = TypeAdapter(_Counted)


@dataclass(slots=True)
class Contents:
    """What a letter holds.

    Attributes:
        trades: Trades that are fit for `tick_data`.
        others: Everything else that is fit, each with its topic.
        faults: What is still wrong, each in a sentence.
    """

    trades: list[Tick] = field(default_factory=list)
    others: list[tuple[str, Quote | Cancel | Bar]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


class LetterReader:
    """Reads letters with today's adapters, symbols and schemas. How late a trade is doesn't matter here.

    Args:
        parser: Finds a provider's parser; None where there is no such adapter.
        symbols: Canonical symbols that are known.
        clock: Says what is ahead of now.
    """

    def __init__(self, parser: Callable[[str], Parse | None], symbols: frozenset[str], clock: Clock) -> None:
        self._parser = lru_cache(maxsize=32)(parser)
        self._symbols = symbols
        self._clock = clock

    def read(self, letter: DeadLetter) -> Contents:
        """What is in a letter."""
        if letter.truncated:
            return Contents(faults=[f"only the first part of its {letter.raw_size_bytes} bytes was kept"])
        raw = base64.b64decode(letter.raw) if letter.raw_encoding == "base64" else letter.raw.encode()
        place = _PLACE.match(letter.detail)
        parse = self._parser(letter.provider)
        if parse is not None:
            return self._of_provider(parse(raw, letter.received_time_us))
        if place is None:
            return Contents(faults=[f"there is no adapter named {letter.provider}"])
        return self._of_writer(raw, place[1], f"{place[1]}[{place[2]}]@{place[3]}")

    def _of_provider(self, outcomes: list[Parsed]) -> Contents:
        contents = Contents()
        for outcome in outcomes:
            fault = _said(outcome) if isinstance(outcome, Rejected) else self._fault(outcome)
            if fault:
                contents.faults.append(fault)
            elif isinstance(outcome, Tick):
                contents.trades.append(outcome)
            elif not isinstance(outcome, Rejected):
                contents.others.append((_TOPIC_OF[type(outcome)], outcome))
        if not outcomes:
            contents.faults.append("the adapter finds nothing in it that is published")
        return contents

    def _of_writer(self, raw: bytes, topic: str, place: str) -> Contents:
        """One of our own messages that a store's writer set aside."""
        decode = decode_bar if topic.startswith(topics.BARS_PREFIX) else _DECODERS.get(topic)
        if decode is None:
            return Contents(faults=[f"nothing is put back onto {topic}"])
        try:
            value = decode(raw)
        except ValueError as error:
            return Contents(faults=[f"it still does not fit {topic}: {_first_line(error)}"])
        if isinstance(value, Tick):
            return self._of_own_trade(value, raw, place)
        if isinstance(value, Bar) and topic not in (topics.PROVIDER_BARS, topics.BARS_PREFIX + value.interval):
            return Contents(faults=[f"a {value.interval} bar does not belong on {topic}"])
        return Contents(others=[(topic, value)])

    def _of_own_trade(self, trade: Tick, raw: bytes, place: str) -> Contents:
        """The message is on `tick_data` already: whoever could read it there must not be given it twice."""
        try:
            _COUNTED.validate_json(raw, strict=True)
        except ValidationError:
            return Contents(trades=[trade])
        return Contents(
            faults=[
                f"bars have counted it at {place}, and would count it twice: set the writer's consumer group back to "
                "that offset instead, which changes nothing but what is missing"
            ]
        )

    def _fault(self, value: Tick | Quote | Cancel | Bar) -> str:
        time_us = value.start_us if isinstance(value, Bar) else value.event_time_us
        if value.symbol not in self._symbols:
            return f"{Reason.UNKNOWN_SYMBOL}: {value.symbol} is none of the configured symbols"
        if not _EARLIEST_US <= time_us <= self._clock.now_us() + _DAY_US:
            return f"{Reason.TIME_OUT_OF_RANGE}: {time_us} µs is before 1990 or more than a day ahead of now"
        return ""


def _said(rejected: Rejected) -> str:
    return f"{rejected.reason}: {rejected.detail}"


def _first_line(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
        return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
    return (str(error).splitlines() or [""])[0]
