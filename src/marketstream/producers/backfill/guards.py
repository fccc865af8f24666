"""What must not be backfilled: what the producer fetches itself, what others have told, what is forgotten or cut.

Reads: `feed_events` (open gaps), `tick_data` (table), through ports.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from marketstream.contracts.messages import FeedGap
from marketstream.ports import Clock, MarketReader
from marketstream.producers.backfill.request import BackfillError, BackfillRequest
from marketstream.producers.memory import TradeMemory
from marketstream.producers.whole_bars import WholeBars

_LOOK_SECONDS = 10.0
_DAY_US = 86_400_000_000
_NEWEST_LOOKED_AT = 1_000
_DELAYED_US = 3_600_000_000  # feeds are behind the clock by less
# The newest trades may still come by the stream, or be fetched by the producer because they did not.
LIVE_US = 60_000_000


class OpenGaps:
    """Refuses to publish trades of a stretch that the producer is filling: both would publish them.

    Args:
        request: What is backfilled.
        read_gaps: The last word on every gap spoken of since a point in time.
        clock: Says what is now.
        give_up_seconds: How long the producer tries to fill a gap.
    """

    def __init__(
        self,
        request: BackfillRequest,
        read_gaps: Callable[[int], Sequence[FeedGap]],
        clock: Clock,
        give_up_seconds: float,
    ) -> None:
        self._request = request
        self._read_gaps = read_gaps
        self._clock = clock
        self._give_up_us = round(give_up_seconds * 1_000_000)
        self._look_at = 0.0

    def __call__(self) -> None:
        """Looks, if it hasn't for a while.

        Raises:
            BackfillError: There is such a gap.
            BusError: Kafka is away.
        """
        if time.monotonic() < self._look_at:
            return
        now_us = self._clock.now_us()
        for gap in self._read_gaps(now_us - 2 * self._give_up_us):
            if gap.state == "open" and gap.updated_us > now_us - 2 * self._give_up_us and self._concerns(gap):
                raise BackfillError(
                    f"the producer is filling a gap of {gap.symbol} there itself (event time {gap.start_us} to "
                    f"{gap.end_us} µs): try again when it is closed, or end before it"
                )
        self._look_at = time.monotonic() + _LOOK_SECONDS

    def _concerns(self, gap: FeedGap) -> bool:
        wanted = self._request
        overlaps = gap.start_us < wanted.end_us and gap.end_us >= wanted.start_us
        return gap.provider == wanted.provider and gap.symbol in wanted.symbols and overlaps


def check_others(request: BackfillRequest, reader: MarketReader) -> None:
    """Refuses to add one provider's trades to another's: the same trade would count twice in every bar.

    The newest trades of the range are looked at.

    Raises:
        BackfillError: There are trades of another provider.
        StoreUnavailableError: The database is away.
    """
    for symbol in request.symbols:
        ticks = reader.ticks(symbol, start_us=request.start_us, end_us=request.end_us, limit=_NEWEST_LOOKED_AT)
        others = sorted({tick.provider for tick in ticks} - {request.provider})
        if others:
            raise BackfillError(
                f"{symbol} has trades of {', '.join(others)} in this range, and bars would count both: choose a range "
                "without them, fetch --data bars, or say --mixed if they are different trades"
            )


def check_remembered(request: BackfillRequest, memory: TradeMemory) -> None:
    """Refuses days whose trades were counted and are no longer kept: they could not be recognised.

    Raises:
        BackfillError: There is such a day.
        StoreUnavailableError: The database is away.
    """
    first, last = request.start_us // _DAY_US, (request.end_us - 1) // _DAY_US
    for symbol in request.symbols:
        for day in range(first, last + 1):
            if memory.forgets(symbol, day * _DAY_US):
                date = datetime.fromtimestamp(day * 86_400, UTC).date()
                raise BackfillError(
                    f"{symbol} has bars of {date}, but the trades they were made of are no longer kept, so they would "
                    "be counted twice: leave that day out, or fetch --data bars"
                )


def check_whole(request: BackfillRequest, reader: MarketReader, bars: WholeBars) -> None:
    """Refuses to add to bars whose other trades the bars query no longer has: it would make bars of the new ones alone.

    The newest trades are looked at that were stored before what the query has, of a delayed feed too.

    Raises:
        BackfillError: There are such trades.
        StoreUnavailableError: The database is away.
    """
    since_us = bars.read_since()
    if since_us is None:
        return
    start_us, end_us = bars.span(request.start_us, request.end_us)
    for symbol in request.symbols:
        for until_us in {min(end_us, since_us), min(end_us, since_us - _DELAYED_US)}:
            ticks = reader.ticks(symbol, start_us=start_us, end_us=until_us, limit=_NEWEST_LOOKED_AT)
            if any(tick.received_time_us < since_us for tick in ticks):
                raise BackfillError(
                    f"{symbol} has trades in these bars that the bars query no longer has: it began afresh with what "
                    f"was received since {datetime.fromtimestamp(since_us / 1e6, UTC):%Y-%m-%dT%H:%M:%SZ}, and would "
                    "make bars of the missing trades alone. Choose a later start, fetch --data bars, or say --cut-bars "
                    "and then make the bars anew: "
                    f"{bars.rebuild(request.symbols, request.start_us, request.end_us)}"
                )
