"""FMP over its WebSockets, one for each market's host: connect, log in, subscribe, read.

The login is answered; so is a subscription, though that is not documented, so nothing waits for it. One connection with
a key displaces another to the same host. A subscription brings trades, quotes and breaks alike, so what was not asked
for is dropped here.
"""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial

from marketstream.domain.errors import Fault, ProviderError
from marketstream.domain.market import Cancel, Quote, Tick
from marketstream.domain.outcomes import Parsed
from marketstream.ports import Capabilities, Clock, Frame, History
from marketstream.providers.channels import chosen_channels
from marketstream.providers.fmp.config import FmpConfig
from marketstream.providers.fmp.history import FmpHistory
from marketstream.providers.fmp.parse import NAME, parse_frame
from marketstream.providers.fmp.refusals import Answer, fault_of, read_answer
from marketstream.providers.markets import Connection
from marketstream.providers.merge import merge
from marketstream.providers.states import StateListener, ignore_state
from marketstream.providers.websocket import FeedSocket
from marketstream.settings import ProviderSettings, Settings

CAPABILITIES = Capabilities(
    channels=frozenset({"trades", "quotes"}),
    asset_classes=frozenset({"equity", "crypto", "forex", "commodity"}),
    cancels=True,
    past_bars=True,
    last_trade=True,
)
_QUOTED_ONLY = {"forex", "commodity"}
_ADVICE = {
    Fault.BAD_KEY: "; check MARKETSTREAM_FMP__API_KEY and whether its plan has WebSockets",
    Fault.PLAN: "; check what the plan covers",
}


class FmpProvider:
    """Stocks', crypto's and currencies' trades, quotes and breaks.

    Args:
        config: Where and what.
        clock: Stamps frames.
        on_state: Told of `connected`; of `subscribed` once the subscription is sent, each once for each host; and of
            `refused_symbol`.
    """

    def __init__(self, config: FmpConfig, clock: Clock, on_state: StateListener = ignore_state) -> None:
        self.name = NAME
        self.capabilities = CAPABILITIES
        self.symbols = config.names.symbols
        self._config = config
        self._clock = clock
        self._on_state = on_state
        self._channels = chosen_channels(config.wanted, CAPABILITIES)
        self.history: History = FmpHistory(config, clock)

    async def stream(self) -> AsyncGenerator[Frame, None]:
        """Yields frames that hold a trade, quote, break or refusal until one connection ends; then all are closed.

        Raises:
            ProviderError: The key or the plan was refused, the handshake stalled or a connection broke.
            OSError: The network failed.
        """
        connections = [self._connected(connection) for connection in self._config.connections]
        async with aclosing(merge(connections)) as frames:
            async for frame in frames:
                yield frame

    async def _connected(self, connection: Connection) -> AsyncGenerator[Frame, None]:
        async with FeedSocket(connection.socket, self._clock) as socket:
            await self._on_state("connected", socket.address)
            socket.expect_within(self._config.handshake_seconds)
            with suppress(ProviderError):  # where the connection has ended already, its frames may tell why
                await socket.send({"event": "login", "data": {"apiKey": self._config.key.get_secret_value()}})
            async for frame in socket.frames(partial(parse_frame, names=self._config.names)):
                if not frame.outcomes:
                    answer = read_answer(frame.raw)
                    if answer is not None:
                        await self._heed(socket, answer, connection.symbols)
                    continue
                wanted = [outcome for outcome in frame.outcomes if self._wanted(outcome)]
                if wanted:
                    yield frame if len(wanted) == len(frame.outcomes) else replace(frame, outcomes=wanted)

    def _wanted(self, outcome: Parsed) -> bool:
        if isinstance(outcome, Quote):
            return "quotes" in self._channels or outcome.asset_class in _QUOTED_ONLY
        return not isinstance(outcome, Tick | Cancel) or "trades" in self._channels

    async def _heed(self, socket: FeedSocket, answer: Answer, symbols: tuple[str, ...]) -> None:
        if not answer.refused:
            if answer.event == "login":
                socket.expect_within(None)
                await self._subscribe(socket, symbols)
            return
        refused = _named(answer.message, symbols) if answer.event == "subscribe" else set()
        if not refused or refused == set(symbols):
            fault = fault_of(answer.status, answer.message)
            if answer.event == "subscribe" and fault is Fault.BAD_KEY:
                fault = Fault.PLAN  # the same key was good enough to log in
            raise socket.error(f"{answer.message or answer.status}{_ADVICE.get(fault, '')}", fault)
        await self._on_state("refused_symbol", socket.clean(answer.message))

    async def _subscribe(self, socket: FeedSocket, symbols: tuple[str, ...]) -> None:
        size = self._config.symbols_per_request
        for first in range(0, len(symbols), size):
            try:
                await socket.send({"event": "subscribe", "data": {"ticker": symbols[first : first + size]}})
            except ProviderError:
                return  # the connection has ended; frames that are still unread may tell why
        await self._on_state("subscribed", f"{len(symbols)} symbols")


def _named(message: str, symbols: tuple[str, ...]) -> set[str]:
    """The subscribed symbols that a refusal names."""
    return set(symbols) & set(re.findall(r"[a-z0-9.^-]+", message.lower()))


def create(
    endpoint: ProviderSettings, settings: Settings, clock: Clock, on_state: StateListener = ignore_state
) -> FmpProvider:
    """The adapter for these settings; opens nothing."""
    return FmpProvider(FmpConfig.of(endpoint, settings), clock, on_state)
