"""Turns a batch of messages into ticks and bars, naming every message that is neither."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from marketstream.contracts import topics
from marketstream.contracts.messages import decode_bar, decode_tick
from marketstream.domain.errors import StoreError
from marketstream.domain.market import Bar, Tick
from marketstream.ports import Message

BarKey = tuple[str, str, int]  # (symbol, interval, start_us)


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


def decode(batch: Sequence[Message]) -> Decoded:
    """Reads every message of a batch.

    Raises:
        UndecodableError: At least one message is no tick or bar of its topic.
    """
    decoded = Decoded()
    faults: list[Undecodable] = []
    for message in batch:
        try:
            if message.topic == topics.TICKS:
                decoded.ticks.append((message, decode_tick(message.value)))
            else:
                decoded.bars.append((message, _bar(message)))
        except ValueError as error:
            faults.append(Undecodable(message, str(error)))
    if faults:
        raise UndecodableError(faults)
    return decoded


def _bar(message: Message) -> Bar:
    bar = decode_bar(message.value)
    if message.topic != topics.BARS_PREFIX + bar.interval:
        raise ValueError(f"a {bar.interval} bar on {message.topic}")
    return bar


def newest_bars(bars: list[tuple[Message, Bar]]) -> dict[BarKey, Bar]:
    """The newest version of each bar."""
    newest: dict[BarKey, Bar] = {}
    for _, bar in bars:
        key = (bar.symbol, bar.interval, bar.start_us)
        known = newest.get(key)
        if known is None or bar.version > known.version:
            newest[key] = bar
    return newest
