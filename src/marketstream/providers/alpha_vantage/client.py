"""Alpha Vantage, polled: symbol after symbol, the first round at once, the rest so that the day's quota lasts the day.

An answer repeats what the one before had; only bars that are new or have changed are passed on.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from marketstream.domain.errors import Fault, ProviderError
from marketstream.domain.market import Bar
from marketstream.domain.outcomes import Parsed, Rejected
from marketstream.ports import Capabilities, Clock, Frame, History
from marketstream.providers.alpha_vantage.config import PATH, AlphaVantageConfig, bars_query
from marketstream.providers.alpha_vantage.history import AlphaVantageHistory
from marketstream.providers.alpha_vantage.parse import NAME, parse_answer
from marketstream.providers.alpha_vantage.quota import QuotaLimit, Sleep
from marketstream.providers.rest import RestAnswer, RestClient
from marketstream.providers.states import StateListener, ignore_state
from marketstream.settings import ProviderSettings, Settings

CAPABILITIES = Capabilities(
    channels=frozenset({"bars"}), asset_classes=frozenset({"equity"}), past_bars=True, polled=True
)
# So often in a row the burst limit is waited out before it is the caller's business.
_BURSTS = 3
_BURST_SECONDS = 60.0


class AlphaVantageProvider:
    """US stocks' bars.

    Args:
        config: Where, what and within which limits.
        clock: Stamps answers and tells the day.
        on_state: Told of `connected` and `subscribed` at the first answer, and of every `refused_symbol`.
        sleep: Waits between requests.
    """

    def __init__(
        self,
        config: AlphaVantageConfig,
        clock: Clock,
        on_state: StateListener = ignore_state,
        *,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.name = NAME
        self.capabilities = CAPABILITIES
        self.symbols = config.names.symbols
        self._config = config
        self._clock = clock
        self._on_state = on_state
        self._sleep = sleep
        self._limit = QuotaLimit(
            config.requests_per_minute,
            config.requests_per_day,
            clock,
            spacing_seconds=config.spacing_seconds,
            sleep=sleep,
        )
        self.history: History = AlphaVantageHistory(config, self._limit, clock)

    async def stream(self) -> AsyncGenerator[Frame, None]:
        """Yields one frame for each answer, without outcomes where it told nothing new; never ends by itself.

        Raises:
            ProviderError: The key, the plan or every symbol was refused, a quota is used up, or the network failed.
        """
        rest = RestClient(self._config.rest(self._limit), self._clock)
        carried, news, answered = list(self.symbols), _News(), False
        try:
            while True:
                for symbol in tuple(carried):
                    answer = await self._ask(rest, symbol)
                    if answer is None:
                        carried.remove(symbol)
                        continue
                    if not answered:
                        answered = True
                        await self._on_state("connected", self._config.url)
                        await self._on_state("subscribed", f"{len(carried)} symbols, polled")
                    outcomes = parse_answer(answer.body, answer.received_time_us, self._config.names)
                    yield Frame(answer.body, answer.received_time_us, news.of(symbol, outcomes))
                    if news.rounds_done(len(carried)):
                        await self._sleep(self._pause_seconds(len(carried)))
                if not carried:
                    raise rest.error("none of the symbols is carried", Fault.UNKNOWN_SYMBOL)
        finally:
            await rest.close()

    async def _ask(self, rest: RestClient, symbol: str) -> RestAnswer | None:
        """A symbol's newest bars; None where the symbol is refused."""
        query = bars_query(self._config.names.wire(symbol), self._config.interval)
        for burst in range(1, _BURSTS + 1):
            try:
                return await rest.get(PATH, query)
            except ProviderError as error:
                if error.fault is Fault.UNKNOWN_SYMBOL:
                    await self._on_state("refused_symbol", f"{symbol}: {error}")
                    return None
                if error.fault is not Fault.BURST_LIMIT or burst == _BURSTS:
                    raise
                await self._sleep(error.retry_after_seconds or _BURST_SECONDS)
        raise AssertionError("the last attempt returns or raises")

    def _pause_seconds(self, symbols: int) -> float:
        return max(self._config.round_seconds / max(1, symbols), self._limit.even_pause_seconds())


class _News:
    """What each symbol's last answer told, so that only what differs is passed on."""

    def __init__(self) -> None:
        self._told: dict[str, set[object]] = {}

    def of(self, symbol: str, outcomes: Sequence[Parsed]) -> list[Parsed]:
        """Those of an answer's outcomes that the symbol's last one did not have."""
        before = self._told.get(symbol, set())
        content = [_content(outcome) for outcome in outcomes]
        self._told[symbol] = set(content)
        return [outcome for outcome, told in zip(outcomes, content, strict=True) if told not in before]

    def rounds_done(self, symbols: int) -> bool:
        """Whether every symbol has been answered once."""
        return len(self._told) >= symbols


def _content(outcome: Parsed) -> object:
    """What makes an outcome the same as in an earlier answer: everything but when it came."""
    match outcome:
        case Bar():
            return (
                outcome.start_us,
                outcome.open,
                outcome.high,
                outcome.low,
                outcome.close,
                outcome.volume,
                outcome.final,
            )
        case Rejected():
            return outcome.raw
    return outcome


def create(
    endpoint: ProviderSettings, settings: Settings, clock: Clock, on_state: StateListener = ignore_state
) -> AlphaVantageProvider:
    """The adapter for these settings; opens nothing."""
    return AlphaVantageProvider(AlphaVantageConfig.of(endpoint, settings), clock, on_state)
