"""The past over Polygon / Massive's REST API, page after page: trades as the stream had them, and bars."""

from collections.abc import AsyncGenerator, Callable
from urllib.parse import parse_qsl, quote, urlsplit

from marketstream.domain.errors import Fault, ProviderError
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar
from marketstream.domain.outcomes import Parsed, Rejected
from marketstream.ports import Clock, Frame
from marketstream.providers.bars import with_finals
from marketstream.providers.history import NoHistory
from marketstream.providers.polygon.config import PolygonConfig
from marketstream.providers.polygon.parse import NAME
from marketstream.providers.polygon.records import Page, parse_bars, parse_last_trade, parse_trades
from marketstream.providers.rest import RestAnswer, RestClient

PAGE_RECORDS = 50_000  # the API's most
# Late reports come within the quarter of an hour by which the delayed plans lag.
_SETTLED_SECONDS = 900.0
_TIMESPANS = ((3_600, "hour"), (60, "minute"), (1, "second"))

_ParsePage = Callable[[RestAnswer], Page]


class PolygonHistory(NoHistory):
    """US stocks' past.

    Args:
        config: Where and which symbols.
        clock: Stamps answers.
        page_records: Asked for at once.
    """

    def __init__(self, config: PolygonConfig, clock: Clock, page_records: int = PAGE_RECORDS) -> None:
        super().__init__(NAME)
        self._config = config
        self._rest = RestClient(config.rest, clock)
        self._page_records = page_records

    async def last_trade_us(self, symbol: str) -> int | None:
        """Event time of the symbol's newest trade; None where there is none."""
        try:
            answer = await self._rest.get(f"/v2/last/trade/{self._ticker(symbol)}", {})
        except ProviderError as error:
            if error.fault is Fault.UNKNOWN_SYMBOL:
                return None
            raise
        try:
            return parse_last_trade(answer.body)
        except ValueError as error:
            raise self._rest.error(f"an answer without the last trade: {error}", Fault.PROTOCOL) from None

    async def trades_between(self, symbol: str, start_us: int, end_us: int) -> AsyncGenerator[Frame, None]:
        """Pages of the trades with event times `[start_us, end_us)`, rising."""
        asked: dict[str, str | int] = {
            # Event times are whole milliseconds, like the stream's.
            "timestamp.gte": _ceiling_ms(start_us) * 1_000_000,
            "timestamp.lt": _ceiling_ms(end_us) * 1_000_000,
            "order": "asc",
            "sort": "timestamp",
            "limit": self._page_records,
        }

        def parse(answer: RestAnswer) -> Page:
            return parse_trades(answer.body, answer.received_time_us, symbol)

        async for answer, outcomes in self._pages(f"/v3/trades/{self._ticker(symbol)}", asked, parse):
            yield Frame(answer.body, answer.received_time_us, outcomes)

    async def bars(self, symbol: str, interval: Interval, start_us: int, end_us: int) -> AsyncGenerator[Frame, None]:
        """Pages of the bars that start in `[start_us, end_us)`, rising; prices are as traded, before any split."""
        first_ms, last_ms = _ceiling_ms(start_us), _ceiling_ms(end_us) - 1
        span = f"{self._timespan(interval)}/{first_ms}/{last_ms}"
        asked: dict[str, str | int] = {"adjusted": "false", "sort": "asc", "limit": self._page_records}

        def parse(answer: RestAnswer) -> Page:
            return parse_bars(answer.body, answer.received_time_us, symbol, interval)

        if last_ms < first_ms:
            return
        async for answer, outcomes in self._pages(f"/v2/aggs/ticker/{self._ticker(symbol)}/range/{span}", asked, parse):
            # The API widens the range to whole bars.
            inside = [each for each in outcomes if not isinstance(each, Bar) or start_us <= each.start_us < end_us]
            finals: list[Parsed] = with_finals(inside, answer.received_time_us, _SETTLED_SECONDS)
            yield Frame(answer.body, answer.received_time_us, finals)

    async def close(self) -> None:
        """Disconnects."""
        await self._rest.close()

    async def _pages(
        self, path: str, asked: dict[str, str | int], parse: _ParsePage
    ) -> AsyncGenerator[tuple[RestAnswer, list[Parsed]], None]:
        """Follows `next_url`, of which only path and query are taken: the key goes to no other host."""
        seen: set[str] = set()
        while True:
            answer = await self._rest.get(path, asked)
            page = parse(answer)
            yield answer, page.outcomes
            if page.next_url is None:
                return
            if page.next_url in seen or (page.outcomes and all(isinstance(each, Rejected) for each in page.outcomes)):
                raise self._rest.error("its pages lead nowhere", Fault.PROTOCOL)
            seen.add(page.next_url)
            address = urlsplit(page.next_url)
            path, asked = address.path, dict(parse_qsl(address.query))

    def _ticker(self, symbol: str) -> str:
        return quote(self._config.names.wire(symbol), safe="")

    def _timespan(self, interval: Interval) -> str:
        """The API's name of a bar length; its bars longer than an hour begin by New York's day, not by UTC's."""
        for seconds, name in _TIMESPANS:
            if interval.seconds % seconds == 0 and interval.seconds <= 3_600:
                return f"{interval.seconds // seconds}/{name}"
        raise self._rest.error(f"its bars of {interval.name} do not begin where UTC's do", Fault.UNSUPPORTED)


def _ceiling_ms(time_us: int) -> int:
    return -(-time_us // 1_000)
