"""Past bars over Finazon's REST API, page after page. It has single trades only without ids, so none are offered."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from pydantic_core import from_json

from marketstream.domain.errors import Fault
from marketstream.domain.interval import MICROSECONDS, Interval
from marketstream.domain.market import Bar
from marketstream.domain.outcomes import Parsed
from marketstream.ports import Clock, Frame
from marketstream.providers.bars import with_finals
from marketstream.providers.finazon.config import FinazonConfig
from marketstream.providers.finazon.parse import INTERVALS, NAME, parse_series
from marketstream.providers.history import NoHistory
from marketstream.providers.rest import RestAnswer, RestClient

_PAGE_BARS = 1_000
_NEWEST_BARS = 5
_SLACK_US = 2_000_000  # the two clocks differ
# By then the feed has corrected what it corrects.
_SETTLED_SECONDS = 300.0
_NAMES = {interval: name for name, interval in INTERVALS.items()}
_MINUTE = Interval.parse("1min")


class FinazonHistory(NoHistory):
    """A dataset's past bars.

    Args:
        config: Where, which dataset and which symbols.
        clock: Stamps answers.
    """

    def __init__(self, config: FinazonConfig, clock: Clock) -> None:
        super().__init__(NAME)
        self._config = config
        self._rest = RestClient(config.rest, clock)

    async def last_trade_us(self, symbol: str) -> int | None:
        """Start of the newest minute with a trade that the stream must have told by now: it traded then or since.

        The API tells the last price but not its time. A trade is streamed up to the frequency later, so minutes count
        once they have been over for that long.
        """
        answer = await self._ask(symbol, _MINUTE, {"order": "desc", "page_size": _NEWEST_BARS})
        outcomes = parse_series(answer.body, answer.received_time_us, symbol, _MINUTE)
        over_us = answer.received_time_us - INTERVALS[self._config.frequency].us - _SLACK_US
        return max((bar.start_us for bar in outcomes if isinstance(bar, Bar) and bar.end_us <= over_us), default=None)

    async def bars(self, symbol: str, interval: Interval, start_us: int, end_us: int) -> AsyncGenerator[Frame, None]:
        """Pages of the bars that start in `[start_us, end_us)`, rising; each page begins with the last one's end again.

        Whether the API's bounds are inclusive is not documented, so it is asked for a second more on both sides. The
        newest bar is final once it ended 5 minutes ago.
        """
        cursor_us = start_us
        while cursor_us < end_us:
            window = {"start_at": max(0, cursor_us // MICROSECONDS - 1), "end_at": -(-end_us // MICROSECONDS) + 1}
            answer = await self._ask(symbol, interval, {"order": "asc", "page_size": _PAGE_BARS, "page": 0, **window})
            outcomes = parse_series(answer.body, answer.received_time_us, symbol, interval)
            inside = [each for each in outcomes if not isinstance(each, Bar) or cursor_us <= each.start_us < end_us]
            finals: list[Parsed] = with_finals(inside, answer.received_time_us, _SETTLED_SECONDS)
            yield Frame(answer.body, answer.received_time_us, finals)
            newest_us = max((bar.start_us for bar in inside if isinstance(bar, Bar)), default=cursor_us)
            if newest_us <= cursor_us or _elements(answer.body) < _PAGE_BARS:
                return
            cursor_us = newest_us

    async def close(self) -> None:
        """Disconnects."""
        await self._rest.close()

    async def _ask(self, symbol: str, interval: Interval, parameters: Mapping[str, str | int]) -> RestAnswer:
        name = _NAMES.get(interval)
        if name is None:
            raise self._rest.error(f"its bars have no length of {interval.name}", Fault.UNSUPPORTED)
        asked = {"ticker": self._config.names.wire(symbol), "interval": name, **parameters}
        return await self._rest.get(self._config.series_path, asked)


def _elements(body: bytes) -> int:
    """How many bars a page has, good or bad."""
    try:
        answer: Any = from_json(body)
    except ValueError:
        return 0
    data = answer.get("data") if isinstance(answer, dict) else None
    return len(data) if isinstance(data, list) else 0
