"""Takes a backfill's pages to their topics.

Writes: `tick_data` (each trade exactly once), `provider_bars` (upserted by whoever stores them), `dead_letter_queue`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from marketstream.contracts.messages import DeadLetter, encode
from marketstream.contracts.topics import DEAD_LETTERS, PROVIDER_BARS
from marketstream.domain.market import Bar, Tick
from marketstream.domain.outcomes import Rejected
from marketstream.ports import Frame, Publisher
from marketstream.producers import patient
from marketstream.producers.past_trades import PastTrades


@dataclass(slots=True)
class Batch:
    """Some pages of one symbol, in the provider's order.

    Attributes:
        symbol: Whose; what is of another one is left out.
        start_us: First point in time that is wanted.
        end_us: First that no longer is.
        trades: The trades.
        bars: The bars.
        refused: What could not be read.
        last_us: Time of the newest trade, or start of the newest bar; None where there is none.
    """

    symbol: str
    start_us: int
    end_us: int
    trades: list[Tick] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    refused: list[Rejected] = field(default_factory=list)
    last_us: int | None = None

    def add(self, page: Frame) -> None:
        """Takes a page."""
        for outcome in page.outcomes:
            if isinstance(outcome, Rejected):
                self.refused.append(outcome)
            elif isinstance(outcome, Tick) and self._wants(outcome.symbol, outcome.event_time_us):
                self.trades.append(outcome)
            elif isinstance(outcome, Bar) and self._wants(outcome.symbol, outcome.start_us):
                self.bars.append(outcome)

    def __len__(self) -> int:
        return len(self.trades) + len(self.bars) + len(self.refused)

    def _wants(self, symbol: str, time_us: int) -> bool:
        wanted = symbol == self.symbol and self.start_us <= time_us < self.end_us
        if wanted:
            self.last_us = max(time_us, self.last_us or time_us)
        return wanted


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a batch."""

    published: int
    already_there: int


class Sink(Protocol):
    """Publishes a batch; the broker has all of it when `put` returns."""

    def put(self, batch: Batch, stopped: Callable[[], bool]) -> Settled:
        """Publishes a batch.

        Args:
            batch: The pages.
            stopped: Asked while waiting; True gives up with `StoppedError`.

        Raises:
            StoreUnavailableError: What is there already can't be told.
            BusError: Kafka doesn't take it.
        """


class TradeSink:
    """Trades to `tick_data`.

    Args:
        trades: Publishes each exactly once.
        publisher: Takes the dead letters.
    """

    def __init__(self, trades: PastTrades, publisher: Publisher) -> None:
        self._trades = trades
        self._publisher = publisher

    def put(self, batch: Batch, stopped: Callable[[], bool]) -> Settled:
        """Publishes a batch."""
        _refuse(self._publisher, batch.refused)
        published = self._trades.publish(batch.trades, stopped=stopped)
        return Settled(sum(published), len(published) - sum(published))


class BarSink:
    """Bars to `provider_bars`; the same bar again changes nothing where it is stored.

    Args:
        publisher: Takes the messages.
    """

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def put(self, batch: Batch, stopped: Callable[[], bool]) -> Settled:
        """Publishes a batch."""
        for bar in batch.bars:
            patient.put(self._publisher, PROVIDER_BARS, bar.symbol, encode(bar))
        _refuse(self._publisher, batch.refused)
        patient.flush(self._publisher)
        return Settled(len(batch.bars), 0)


def _refuse(publisher: Publisher, refused: Sequence[Rejected]) -> None:
    for each in refused:
        letter = DeadLetter.of(each)
        patient.put(publisher, DEAD_LETTERS, letter.symbol or letter.provider, encode(letter))
    if refused:
        patient.flush(publisher)
