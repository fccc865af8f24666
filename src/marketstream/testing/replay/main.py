"""The replay process: what `marketstream run replay` runs until it is told to stop."""

import asyncio
import signal

import uvloop

from marketstream.domain.errors import ConfigurationError
from marketstream.observability.logs import get_logger
from marketstream.settings import Settings
from marketstream.testing.market import Market
from marketstream.testing.replay.server import ReplayOptions, ReplayServer
from marketstream.testing.replay.source import FileSource, MarketSource, Pace, Source
from marketstream.testing.trades import read_trades

_log = get_logger("replay")


def run(settings: Settings) -> None:
    """Serves until SIGINT or SIGTERM.

    Raises:
        ConfigurationError: The speed or the trade file is wrong.
        LaunchError: The port can't be listened on.
    """
    server = build(settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(server))


def build(settings: Settings) -> ReplayServer:
    """The server that the settings describe, not yet listening.

    Raises:
        ConfigurationError: The speed or the trade file is wrong.
    """
    replay = settings.replay
    return ReplayServer(
        _source(settings),
        Pace.parse(replay.speed),
        host=replay.host,
        port=replay.port,
        options=ReplayOptions(refused_keys=replay.refused_keys, ping_seconds=replay.ping_seconds, admin=replay.admin),
    )


def _source(settings: Settings) -> Source:
    replay = settings.replay
    if replay.file is not None:
        trades = read_trades(replay.file)
        return FileSource(trades if replay.sale_conditions else trades.without_conditions(), loop=replay.loop)
    try:
        market = Market(tuple(settings.symbols), replay.ticks_per_second, replay.seed, replay.arrivals)
    except ValueError as error:
        raise ConfigurationError(f"the replayed market can't be generated: {error}") from error
    return MarketSource(market, replay.history_seconds)


async def _serve(server: ReplayServer) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with server:
        _log.info("listening", **{provider: stream or rest for provider, (stream, rest) in server.endpoints().items()})
        await server.run_until(stop)
        _log.info("stopping")
