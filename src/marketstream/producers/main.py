"""The producer's process: joins settings, feeds, validation and Kafka. Writes: `tick_data` and its side topics."""

import asyncio
import random
import signal
from functools import partial

import uvloop

from marketstream.bus.admin import ensure_topics
from marketstream.bus.publisher import KafkaPublisher
from marketstream.clock import SystemClock
from marketstream.contracts.topics import INGEST_TOPICS
from marketstream.observability.logs import get_logger
from marketstream.ports import Clock, Publisher
from marketstream.producers.backoff import Backoff
from marketstream.producers.board import FeedBoard
from marketstream.producers.continuity import Continuity
from marketstream.producers.failover import FailoverReader, Rules
from marketstream.producers.gaps import GapFiller
from marketstream.producers.groups import group_symbols
from marketstream.producers.pipeline import Pipeline
from marketstream.producers.queue import FrameQueue
from marketstream.producers.recovery import read_gaps, read_published, read_recent_ticks
from marketstream.producers.service import ProducerService
from marketstream.producers.validation import TickValidator
from marketstream.producers.whole_bars import WholeBars
from marketstream.providers.auto import Feed, resolve_feeds
from marketstream.providers.registry import create_provider
from marketstream.providers.states import ignore_state
from marketstream.settings import Settings

# As long as topics keep messages: an open gap is not forgotten before.
_GAPS_BACK_US = 7 * 86_400_000_000
_logger = get_logger("producer")


def run(settings: Settings, bars: WholeBars) -> None:
    """Runs until SIGTERM or SIGINT, then publishes what has been read and returns.

    Args:
        settings: The platform's settings.
        bars: Tells which bars fetched trades may be added to.

    Raises:
        BusError: Kafka is away at the start, or refused a message.
        ConfigurationError: A provider has no adapter, or no provider carries a symbol.
    """
    ensure_topics(settings.kafka.bootstrap_servers, INGEST_TOPICS, settings.kafka.partitions)
    feeds = resolve_feeds(settings)
    _logger.info("feeds", order=[feed.provider for feed in feeds], bundled=[feed.bundled for feed in feeds])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, feeds, bars))


def restored_validator(settings: Settings, numbered: frozenset[str]) -> TickValidator:
    """A validator that knows what was published last.

    Args:
        settings: The platform's settings.
        numbered: The providers that number their trades without holes.

    Raises:
        BusError: Kafka is away.
    """
    lateness = settings.ingest.allowed_lateness_seconds
    validator = TickValidator(settings.symbols, lateness, Continuity(numbered))
    published = read_recent_ticks(settings.kafka.bootstrap_servers, lateness)
    validator.restore(published.live, published.fetched)
    _logger.info("validator restored", ticks_read=len(published.live), remembered=validator.remembered())
    return validator


def build_service(
    settings: Settings, feeds: list[Feed], validator: TickValidator, publisher: Publisher, clock: Clock
) -> ProducerService:
    """Joins the parts; opens nothing.

    Raises:
        ConfigurationError: A provider has no adapter, or no provider carries a symbol.
    """
    ingest = settings.ingest
    queue = FrameQueue(ingest.queue_frames)
    rules = Rules(
        failover=settings.failover,
        # Jitter needs no secrecy.
        new_backoff=lambda: Backoff(ingest.backoff_initial_seconds, ingest.backoff_max_seconds, random.random),
        slow_retry_seconds=ingest.backoff_max_seconds,
        retries_max=ingest.retries_max,
        channels=ingest.channels,
    )
    continuity = validator.continuity
    board = FeedBoard()
    readers = [
        FailoverReader(
            [partial(create_provider, feed, group.settings, clock) for feed in group.feeds],
            queue,
            clock,
            continuity.newest_us,
            rules,
            board,
        )
        for group in group_symbols(settings, feeds)
    ]
    providers = [provider for reader in readers for provider in reader.providers]
    filler = GapFiller(continuity, providers, queue, publisher, clock, settings.gaps)
    return ProducerService(readers, filler, queue, Pipeline(publisher, validator, clock), publisher)


def numbered_providers(settings: Settings, feeds: list[Feed]) -> frozenset[str]:
    """The names of those feeds' providers that number their trades without holes."""
    clock = SystemClock()
    providers = [
        create_provider(feed, group.settings, clock, ignore_state)
        for group in group_symbols(settings, feeds)
        for feed in group.feeds
    ]
    return frozenset(provider.name for provider in providers if provider.capabilities.numbered)


def resume_gaps(settings: Settings, service: ProducerService, now_us: int) -> None:
    """Takes up the gaps that were open when the last producer ended; forgets those that are settled.

    Raises:
        BusError: Kafka is away.
    """
    servers = settings.kafka.bootstrap_servers
    gaps = read_gaps(servers, now_us - _GAPS_BACK_US)
    still_open = [gap for gap in gaps if gap.state == "open" and gap.symbol in settings.symbols]
    service.filler.settle([gap for gap in gaps if gap.state != "open"])
    if still_open:
        since_us = min(gap.opened_us for gap in still_open)
        service.filler.resume(still_open, read_published(servers, since_us, {gap.symbol for gap in still_open}))
    _logger.info("gaps", known=len(gaps), open=len(still_open))


async def _serve(settings: Settings, feeds: list[Feed], bars: WholeBars) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    clock = SystemClock()
    validator = restored_validator(settings, numbered_providers(settings, feeds))
    publisher = KafkaPublisher(settings.kafka.bootstrap_servers)
    service = build_service(settings, feeds, validator, publisher, clock)
    service.filler.warn_of(bars)
    resume_gaps(settings, service, clock.now_us())
    await service.run(stop)
    _logger.info("stopped; everything read is published")
