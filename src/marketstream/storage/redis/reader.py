"""Reads the newest market data back from the cache.

Reads: `latest_price:{symbol}`, `ticks:{symbol}`, `cancels:{symbol}`, `aggregated:{symbol}:{interval}`,
`latest_quote:{symbol}`, `indicators:{symbol}`.
"""

from collections.abc import Iterable, Sequence
from typing import cast

from redis import Redis

from marketstream.contracts import cache_keys
from marketstream.contracts.messages import decode_bar, decode_indicators, decode_quote, decode_tick
from marketstream.domain.conditions import CONSOLIDATED, TradeRules
from marketstream.domain.indicators import Indicators
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Quote, Tick
from marketstream.settings import RedisSettings
from marketstream.storage.redis.connection import make_client, redis_errors
from marketstream.storage.redis.scripts import NEWEST, held_back

_SCAN_COUNT = 1_000


class RedisReader:
    """A `CacheReader`: the newest ticks (at most `TICKS_KEPT`) and each interval's newest bar and its indicators.

    What has not changed for its key's lifetime is gone: an empty answer says nothing about the other stores.

    Args:
        settings: Where Redis is; the first call connects. Calls may come from several threads.
        rules: Which trades update the latest price.
    """

    def __init__(self, settings: RedisSettings, rules: TradeRules = CONSOLIDATED) -> None:
        self._settings = settings
        self._client: Redis = make_client(settings)
        self._newest = self._client.register_script(NEWEST)
        self._held_back = held_back(rules)

    def latest(self, symbol: str) -> Tick | None:
        """The symbol's newest tick that stands and updates the last price, while one came in the last minute."""
        with redis_errors(self._settings):
            value = cast("bytes | None", self._client.get(cache_keys.latest_price(symbol)))
        return None if value is None else decode_tick(value)

    def latest_kept(self, symbol: str) -> Tick | None:
        """The newest of the kept ticks that stands and updates the last price, however long ago it came."""
        keys = [cache_keys.ticks(symbol), cache_keys.cancels(symbol)]
        with redis_errors(self._settings):
            value = cast("bytes | None", self._newest(keys=keys, args=[self._held_back]))
        return None if value is None else decode_tick(value)

    def quote(self, symbol: str) -> Quote | None:
        """The symbol's newest quote, for as long as one came in the last minute."""
        with redis_errors(self._settings):
            value = cast("bytes | None", self._client.get(cache_keys.latest_quote(symbol)))
        return None if value is None else decode_quote(value)

    def ticks(self, symbol: str, *, start_us: int | None, end_us: int | None, limit: int) -> list[Tick]:
        """The newest `limit` of the kept ticks in the range, oldest first."""
        if limit < 1:
            return []
        whole = start_us is None and end_us is None
        with redis_errors(self._settings):
            last = limit - 1 if whole else -1
            values = cast("list[bytes]", self._client.lrange(cache_keys.ticks(symbol), 0, last))
        ticks = [tick for tick in map(decode_tick, values) if _inside(tick.event_time_us, start_us, end_us)]
        return ticks[:limit][::-1]

    def bars(
        self, symbol: str, interval: Interval, *, start_us: int | None, end_us: int | None, limit: int
    ) -> list[Bar]:
        """The interval's newest bar, where it starts in the range; never more than this one."""
        with redis_errors(self._settings):
            value = cast("bytes | None", self._client.get(cache_keys.bar(symbol, interval.name)))
        if value is None or limit < 1:
            return []
        bar = decode_bar(value)
        return [bar] if _inside(bar.start_us, start_us, end_us) and not bar.void else []

    def indicators(
        self, symbol: str, interval: Interval, *, start_us: int | None, end_us: int | None, limit: int
    ) -> list[Indicators]:
        """The indicators of the interval's newest bar, where it starts in the range; never more than these."""
        with redis_errors(self._settings):
            value = cast("bytes | None", self._client.hget(cache_keys.indicators(symbol), interval.name))
        if value is None or limit < 1:
            return []
        indicators = decode_indicators(value)
        return [indicators] if _inside(indicators.start_us, start_us, end_us) else []

    def latest_of(self, symbols: Sequence[str]) -> dict[str, Tick]:
        """The newest tick of each symbol of which one came in the last minute, by one command."""
        values = self._values(map(cache_keys.latest_price, symbols))
        return {symbol: decode_tick(value) for symbol, value in zip(symbols, values, strict=True) if value is not None}

    def quotes_of(self, symbols: Sequence[str]) -> dict[str, Quote]:
        """The newest quote of each symbol of which one came in the last minute, by one command."""
        values = self._values(map(cache_keys.latest_quote, symbols))
        return {symbol: decode_quote(value) for symbol, value in zip(symbols, values, strict=True) if value is not None}

    def ticks_of(
        self, symbols: Sequence[str], *, start_us: int | None, end_us: int | None, limit: int
    ) -> dict[str, list[Tick]]:
        """The newest `limit` of the kept ticks of each symbol, in one round trip."""
        if limit < 1:
            return {}
        last = limit - 1 if start_us is None and end_us is None else -1
        with redis_errors(self._settings):
            pipeline = self._client.pipeline(transaction=False)
            for symbol in symbols:
                pipeline.lrange(cache_keys.ticks(symbol), 0, last)
            lists = cast("list[list[bytes]]", pipeline.execute())
        found = {}
        for symbol, values in zip(symbols, lists, strict=True):
            ticks = [tick for tick in map(decode_tick, values) if _inside(tick.event_time_us, start_us, end_us)]
            if ticks:
                found[symbol] = ticks[:limit][::-1]
        return found

    def bars_of(
        self, symbols: Sequence[str], interval: Interval, *, start_us: int | None, end_us: int | None, limit: int
    ) -> dict[str, list[Bar]]:
        """The interval's newest bar of each symbol, where it starts in the range, by one command."""
        if limit < 1:
            return {}
        values = self._values(cache_keys.bar(symbol, interval.name) for symbol in symbols)
        bars = [decode_bar(value) for value in values if value is not None]
        return {bar.symbol: [bar] for bar in bars if _inside(bar.start_us, start_us, end_us) and not bar.void}

    def indicators_of(
        self, symbols: Sequence[str], interval: Interval, *, start_us: int | None, end_us: int | None, limit: int
    ) -> dict[str, list[Indicators]]:
        """The indicators of the interval's newest bar of each symbol, where it starts in the range."""
        if limit < 1:
            return {}
        with redis_errors(self._settings):
            pipeline = self._client.pipeline(transaction=False)
            for symbol in symbols:
                pipeline.hget(cache_keys.indicators(symbol), interval.name)
            values = cast("list[bytes | None]", pipeline.execute())
        said = [decode_indicators(value) for value in values if value is not None]
        return {each.symbol: [each] for each in said if _inside(each.start_us, start_us, end_us)}

    def symbols(self) -> list[str]:
        """Symbols with ticks or a bar in the cache, sorted."""
        from_ticks = {key.split(":", 1)[1] for key in self._keys(cache_keys.ticks("*"))}
        from_bars = {key.split(":", 1)[1].rpartition(":")[0] for key in self._keys(cache_keys.bar("*", "*"))}
        return sorted(from_ticks | from_bars)

    def intervals(self) -> list[str]:
        """Every interval of which there is a bar, in no order."""
        return list({key.rpartition(":")[2] for key in self._keys(cache_keys.bar("*", "*"))})

    def ping(self) -> None:
        """Returns when Redis answers."""
        with redis_errors(self._settings):
            self._client.ping()

    def close(self) -> None:
        """Disconnects."""
        self._client.close()

    def _values(self, keys: Iterable[str]) -> list[bytes | None]:
        wanted = list(keys)
        if not wanted:
            return []
        with redis_errors(self._settings):
            return cast("list[bytes | None]", self._client.mget(wanted))

    def _keys(self, pattern: str) -> list[str]:
        with redis_errors(self._settings):
            keys = cast("list[bytes]", list(self._client.scan_iter(match=pattern, count=_SCAN_COUNT)))
        return [key.decode() for key in keys]


def _inside(time_us: int, start_us: int | None, end_us: int | None) -> bool:
    return (start_us is None or time_us >= start_us) and (end_us is None or time_us < end_us)
