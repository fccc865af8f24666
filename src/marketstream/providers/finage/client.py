"""Finage over its WebSocket: connect with the key in the address, wait to be let in, subscribe, read.

The server greets with `authorizing` and `connected to the adapter`; it acknowledges no subscription. What a server
sends, trades or quotes, is decided by which server it is, so what was not asked for is dropped here. Currencies have
only quotes, which are always taken.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from marketstream.domain.errors import Fault, ProviderError
from marketstream.domain.market import Quote, Tick
from marketstream.domain.outcomes import Parsed
from marketstream.ports import Capabilities, Clock, Frame, History
from marketstream.providers.channels import chosen_channels
from marketstream.providers.finage.config import FinageConfig
from marketstream.providers.finage.history import FinageHistory
from marketstream.providers.finage.parse import NAME, parse_frame
from marketstream.providers.finage.refusals import Notice, fault_of, read_notice
from marketstream.providers.markets import Connection
from marketstream.providers.merge import merge
from marketstream.providers.states import StateListener, ignore_state
from marketstream.providers.websocket import FeedSocket
from marketstream.settings import ProviderSettings, Settings

CAPABILITIES = Capabilities(
    channels=frozenset({"trades", "quotes"}),
    asset_classes=frozenset({"equity", "crypto", "forex", "commodity"}),
    past_bars=True,
    last_trade=True,
)
_LET_IN = "connected to the adapter"
_QUOTED_ONLY = {"forex", "commodity"}
_ADVICE = {
    Fault.BAD_KEY: "; check MARKETSTREAM_FINAGE__API_KEY, the socket's key",
    Fault.PLAN: "; check what the plan covers, or take the symbols of this market out",
}


class FinageProvider:
    """Stocks', crypto's and currencies' trades and quotes, over one connection for each server they need.

    Args:
        config: Where and what.
        clock: Stamps frames.
        on_state: Told of `connected`; of `subscribed` once the subscription is sent, which Finage does not answer; and
            of `refused_symbol`.
    """

    def __init__(self, config: FinageConfig, clock: Clock, on_state: StateListener = ignore_state) -> None:
        self.name = NAME
        self.capabilities = CAPABILITIES
        self.symbols = config.names.symbols
        self._config = config
        self._clock = clock
        self._on_state = on_state
        self._channels = chosen_channels(config.wanted, CAPABILITIES)
        self.history: History = FinageHistory(config, clock)

    async def stream(self) -> AsyncGenerator[Frame, None]:
        """Yields frames that hold a trade, a quote or a refusal until one connection ends; then all are closed.

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
            async for frame in socket.frames(partial(parse_frame, names=self._config.names)):
                if not frame.outcomes:
                    notice = read_notice(frame.raw)
                    if notice is not None:
                        await self._heed(socket, notice, connection)
                    continue
                wanted = [outcome for outcome in frame.outcomes if self._wanted(outcome)]
                if wanted:
                    yield frame if len(wanted) == len(frame.outcomes) else replace(frame, outcomes=wanted)

    def _wanted(self, outcome: Parsed) -> bool:
        if isinstance(outcome, Quote):
            return "quotes" in self._channels or outcome.asset_class in _QUOTED_ONLY
        return not isinstance(outcome, Tick) or "trades" in self._channels

    async def _heed(self, socket: FeedSocket, notice: Notice, connection: Connection) -> None:
        if notice.code == 200:
            if notice.message == _LET_IN:
                socket.expect_within(None)
                await self._subscribe(socket, connection.symbols)
            return
        fault = fault_of(notice.code, notice.message)
        if fault is not Fault.UNKNOWN_SYMBOL:
            raise socket.error(f"{notice.message}{_ADVICE.get(fault, '')}", fault)
        await self._on_state("refused_symbol", socket.clean(notice.message))

    async def _subscribe(self, socket: FeedSocket, symbols: tuple[str, ...]) -> None:
        size = self._config.symbols_per_request
        for first in range(0, len(symbols), size):
            try:
                await socket.send({"action": "subscribe", "symbols": ",".join(symbols[first : first + size])})
            except ProviderError:
                return  # the connection has ended; frames that are still unread may tell why
        await self._on_state("subscribed", f"{len(symbols)} symbols")


def create(
    endpoint: ProviderSettings, settings: Settings, clock: Clock, on_state: StateListener = ignore_state
) -> FinageProvider:
    """The adapter for these settings; opens nothing."""
    return FinageProvider(FinageConfig.of(endpoint, settings), clock, on_state)
