"""Past bars over Alpha Vantage's REST API: one answer for each month.

When a symbol traded last it tells as a day only (`GLOBAL_QUOTE`), which is no event time and would cost a request of
the daily quota, so it is not offered.
"""

from collections.abc import AsyncGenerator, Iterator

from marketstream.domain.errors import Fault
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar
from marketstream.ports import Clock, Frame
from marketstream.providers.alpha_vantage.config import PATH, AlphaVantageConfig, bars_query, interval_name
from marketstream.providers.alpha_vantage.parse import NAME, parse_answer
from marketstream.providers.alpha_vantage.quota import QuotaLimit
from marketstream.providers.history import NoHistory
from marketstream.providers.rest import RestClient
from marketstream.providers.times import eastern_text


class AlphaVantageHistory(NoHistory):
    """Past bars, since 2000.

    Args:
        config: Where and which symbols.
        limit: Shared with the stream.
        clock: Stamps answers.
    """

    def __init__(self, config: AlphaVantageConfig, limit: QuotaLimit, clock: Clock) -> None:
        super().__init__(NAME)
        self._config = config
        self._rest = RestClient(config.rest(limit), clock)

    async def bars(self, symbol: str, interval: Interval, start_us: int, end_us: int) -> AsyncGenerator[Frame, None]:
        """The bars that start in `[start_us, end_us)`, rising, a New York month at a time; one request each."""
        name = interval_name(interval)
        if name is None:
            raise self._rest.error(f"its bars have no length of {interval.name}", Fault.UNSUPPORTED)
        query = bars_query(self._config.names.wire(symbol), name)
        for month in _months(start_us, end_us):
            answer = await self._rest.get(PATH, {**query, "month": month, "outputsize": "full"})
            outcomes = parse_answer(answer.body, answer.received_time_us, self._config.names)
            inside = [each for each in outcomes if not isinstance(each, Bar) or start_us <= each.start_us < end_us]
            yield Frame(answer.body, answer.received_time_us, inside)

    async def close(self) -> None:
        """Disconnects."""
        await self._rest.close()


def _months(start_us: int, end_us: int) -> Iterator[str]:
    """New York's months, as `2026-09`, from that of the first microsecond to that of the last."""
    if end_us <= start_us:
        return
    month, last = eastern_text(start_us)[:7], eastern_text(end_us - 1)[:7]
    while month <= last:
        yield month
        year, number = int(month[:4]), int(month[5:])
        month = f"{year + number // 12:04d}-{number % 12 + 1:02d}"
