"""What Binance's REST API knows of the past: aggregate trades by number or by time, and klines."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

from marketstream.domain.errors import Fault
from marketstream.domain.interval import MICROSECONDS, Interval
from marketstream.domain.market import Tick
from marketstream.ports import Clock, Frame
from marketstream.providers.binance.config import BinanceConfig
from marketstream.providers.binance.pages import Page, parse_bars, parse_trades
from marketstream.providers.binance.refusals import find_refusal
from marketstream.providers.faults import Source
from marketstream.providers.history import NoHistory
from marketstream.providers.limits import RateLimit
from marketstream.providers.rest import RestAnswer, RestClient, RestConfig

PAGE_SIZE = 1_000
_USED_WEIGHT = "x-mbx-used-weight-1m"
_MINUTE_US = 60 * MICROSECONDS
_Query = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class _Answer:
    """A page and the answer that it came in."""

    raw: RestAnswer
    page: Page

    def frame(self) -> Frame:
        """All of it."""
        return Frame(self.raw.body, self.raw.received_time_us, self.page.outcomes)


class BinanceHistory(NoHistory):
    """Asks Binance's REST API, within the request weight that is allowed. Opens nothing before the first request.

    Args:
        config: Where to ask and how much.
        clock: Stamps answers.
    """

    def __init__(self, config: BinanceConfig, clock: Clock) -> None:
        super().__init__(config.market.name)
        self._config = config
        self._market = config.market
        self._clock = clock
        burst = max(config.weight_per_minute / 10, self._market.trade_page_weight)
        self._limit = RateLimit(config.weight_per_minute, burst)
        self._rest = RestClient(
            RestConfig(
                provider=config.market.name,
                url=config.rest_url,
                secret=config.socket.secret,
                find_refusal=find_refusal,
                limit=self._limit,
            ),
            clock,
        )

    async def last_trade_us(self, symbol: str) -> int | None:
        """Event time of the newest aggregate trade."""
        answer = await self._trades(symbol, {"limit": 1})
        return max((tick.event_time_us for tick in answer.page.outcomes if isinstance(tick, Tick)), default=None)

    async def trades_numbered(self, symbol: str, first_id: int, last_id: int) -> AsyncGenerator[Frame, None]:
        """Pages by `fromId`."""
        while first_id <= last_id:
            answer = await self._trades(symbol, {"fromId": first_id, "limit": min(PAGE_SIZE, last_id - first_id + 1)})
            frame = answer.frame()
            inside = [each for each in frame.outcomes if not isinstance(each, Tick) or each.sequence <= last_id]
            if inside:
                yield Frame(frame.raw, frame.received_time_us, inside)
            if answer.page.last is None or answer.page.last < first_id:
                return
            first_id = answer.page.last + 1

    async def trades_between(self, symbol: str, start_us: int, end_us: int) -> AsyncGenerator[Frame, None]:
        """The first page by `startTime` and `endTime`, the others by `fromId` from there on."""
        start_ms, end_ms = -(-start_us // 1_000), -(-end_us // 1_000)
        answer = await self._first_between(symbol, start_ms, end_ms)
        while answer is not None and answer.page.last is not None:
            frame = answer.frame()
            inside = [
                each for each in frame.outcomes if not isinstance(each, Tick) or each.event_time_us < end_ms * 1_000
            ]
            if inside:
                yield Frame(frame.raw, frame.received_time_us, inside)
            if len(inside) < len(frame.outcomes):
                return
            answer = await self._trades(symbol, {"fromId": answer.page.last + 1, "limit": PAGE_SIZE})

    async def bars(self, symbol: str, interval: Interval, start_us: int, end_us: int) -> AsyncGenerator[Frame, None]:
        """Pages of klines; the newest may not be final."""
        wire_interval = self._market.intervals.get(interval.name)
        if wire_interval is None:
            raise self._unsupported(f"bars of {interval.name}")
        start_ms, end_ms = -(-start_us // 1_000), -(-end_us // 1_000)
        while start_ms < end_ms:
            span: _Query = {"startTime": start_ms, "endTime": end_ms - 1, "limit": PAGE_SIZE}
            query = {"symbol": self._wire(symbol), "interval": wire_interval, **span}
            raw = await self._get("/klines", query, self._market.bar_page_weight)
            page = parse_bars(raw.body, symbol, interval, Source(self._market.name, raw.received_time_us))
            answer = self._checked(raw, page)
            if answer.page.outcomes:
                yield answer.frame()
            if answer.page.last is None or answer.page.size < PAGE_SIZE or answer.page.last < start_ms:
                return
            start_ms = answer.page.last + interval.us // 1_000

    async def close(self) -> None:
        """Disconnects; a later call opens anew."""
        await self._rest.close()

    async def _first_between(self, symbol: str, start_ms: int, end_ms: int) -> _Answer | None:
        """The first page of a span that has any trade, looked for window by window where the span is too long to ask.

        What the API no longer has isn't asked for.
        """
        kept_ms, window_ms = self._market.trades_kept_ms, self._market.window_ms
        if kept_ms is not None:
            start_ms = max(start_ms, self._clock.now_us() // 1_000 - kept_ms)
        while start_ms < end_ms:
            until_ms = end_ms if window_ms is None else min(end_ms, start_ms + window_ms)
            span: _Query = {"startTime": start_ms, "endTime": until_ms - 1, "limit": PAGE_SIZE}
            answer = await self._trades(symbol, span)
            if answer.page.size:
                return answer
            start_ms = until_ms
        return None

    async def _trades(self, symbol: str, query: _Query) -> _Answer:
        weight = self._market.trade_page_weight
        raw = await self._get("/aggTrades", {"symbol": self._wire(symbol), **query}, weight)
        return self._checked(raw, parse_trades(raw.body, symbol, Source(self._market.name, raw.received_time_us)))

    async def _get(self, endpoint: str, query: _Query, weight: int) -> RestAnswer:
        answer = await self._rest.get(self._market.rest_path + endpoint, query, weight=weight)
        used = answer.headers.get(_USED_WEIGHT, "")
        if used.isascii() and used.isdigit() and int(used) >= self._config.weight_per_minute:
            # Others use this address too. Binance counts by the minute.
            self._limit.penalise((_MINUTE_US - self._clock.now_us() % _MINUTE_US) / MICROSECONDS)
        return answer

    def _checked(self, raw: RestAnswer, page: Page | None) -> _Answer:
        if page is None:
            raise self._rest.error("an answer is no array", Fault.PROTOCOL)
        if page.size and page.last is None:
            raise self._rest.error("nothing in an answer can be read", Fault.PROTOCOL)
        return _Answer(raw, page)

    def _wire(self, symbol: str) -> str:
        name = self._config.names.wire_names.get(symbol)
        if name is None:
            raise self._rest.error(f"{symbol} is none of the configured symbols", Fault.UNKNOWN_SYMBOL)
        return name.upper()
