"""The WebSocket process."""

import asyncio
import resource
import signal
from contextlib import closing

import uvloop

from marketstream.bus.live import LiveReader
from marketstream.clock import SystemClock
from marketstream.contracts import topics
from marketstream.domain.conditions import RULES
from marketstream.observability.logs import get_logger
from marketstream.serving.access.access import Access
from marketstream.serving.http import announce, check_host
from marketstream.serving.market_data import MarketData
from marketstream.serving.websocket.hub import NAME, Hub
from marketstream.serving.websocket.server import WebSocketServer
from marketstream.serving.websocket.service import Service
from marketstream.serving.websocket.snapshots import Loader
from marketstream.serving.websocket.source import Source
from marketstream.serving.websocket.updates import Decoder
from marketstream.settings import Settings

_REACH_BACK_SECONDS = 30.0  # how far behind the stream stores may be, for snapshots to be whole all the same
_OWN_FILES = 200  # connections to the stores and the broker, logs, libraries
_EVENTS_SECONDS = 3_600.0  # so long the first subscribers still see past events

_log = get_logger(NAME)


def run(settings: Settings, access: Access, market_data: MarketData) -> None:
    """Serves until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: The host is not loopback and nothing asks who is there, or the port is taken.
    """
    check_host(settings.serving, settings.access)
    _allow_files(settings.websocket.max_clients + _OWN_FILES)
    with closing(access):
        uvloop.run(_serve(settings, access, market_data))


def _allow_files(count: int) -> None:
    """Each client is an open file, and the usual limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        _log.warning("the system allows fewer open files than there may be clients", allowed=hard, wanted=count)
        count = hard
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


async def _serve(settings: Settings, access: Access, market_data: MarketData) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    clock = SystemClock()
    decoder = Decoder(settings.intervals, RULES[settings.streaming.trade_conditions])
    since_us = clock.now_us() - round(_REACH_BACK_SECONDS * 1e6)
    late_us = round(settings.ingest.allowed_lateness_seconds * 1e6)
    hub = Hub(settings.websocket, decoder, clock, since_us=since_us, late_us=late_us)
    hub.symbols.update(settings.symbols)
    loader = Loader(market_data, decoder, hub)
    service = Service(settings.websocket, hub, loader, access, clock)
    source = Source(_reader(settings, decoder, since_us), hub.take, loop)
    server = WebSocketServer(service, hub, settings.serving, lambda: source.away)
    source.start()
    announce(settings.serving, settings.serving.websocket_port, "ws")
    try:
        await server.run(stop)
    finally:
        source.stop()
        loader.close()


def _reader(settings: Settings, decoder: Decoder, since_us: int) -> LiveReader:
    since_ms = dict.fromkeys(decoder.topics, since_us // 1_000)
    for topic in (topics.SIGNALS, topics.ANOMALIES, topics.ALERTS):
        since_ms[topic] -= round((_EVENTS_SECONDS - _REACH_BACK_SECONDS) * 1_000)
    gather_seconds = settings.websocket.gather_ms / 1_000
    return LiveReader(settings.kafka.bootstrap_servers, NAME, since_ms, gather_seconds=gather_seconds)
