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
from marketstream.producers.feed import FeedReader
from marketstream.producers.pipeline import Pipeline
from marketstream.producers.queue import FrameQueue
from marketstream.producers.recovery import read_recent_ticks
from marketstream.producers.service import ProducerService
from marketstream.producers.validation import TickValidator
from marketstream.providers.auto import Feed, resolve_feeds
from marketstream.providers.registry import create_provider
from marketstream.settings import Settings

_logger = get_logger("producer")


def run(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT, then publishes what has been read and returns.

    Raises:
        BusError: Kafka is away at the start, or refused a message.
        ConfigurationError: A provider has no adapter.
    """
    servers = settings.kafka.bootstrap_servers
    ensure_topics(servers, INGEST_TOPICS, settings.kafka.partitions)
    feeds = resolve_feeds(settings)
    _logger.info("feeds", order=[feed.provider for feed in feeds], bundled=[feed.bundled for feed in feeds])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, feeds, restored_validator(settings)))


def restored_validator(settings: Settings) -> TickValidator:
    """A validator that knows what was published last.

    Raises:
        BusError: Kafka is away.
    """
    lateness = settings.ingest.allowed_lateness_seconds
    validator = TickValidator(settings.symbols, lateness)
    ticks = read_recent_ticks(settings.kafka.bootstrap_servers, lateness)
    validator.restore(ticks)
    _logger.info("validator restored", ticks_read=len(ticks), remembered=validator.remembered())
    return validator


def build_service(
    settings: Settings, feeds: list[Feed], validator: TickValidator, publisher: Publisher, clock: Clock
) -> ProducerService:
    """Joins the parts; opens nothing.

    Raises:
        ConfigurationError: A provider has no adapter.
    """
    ingest = settings.ingest
    queue = FrameQueue(ingest.queue_frames)
    # Jitter needs no secrecy.
    backoff = Backoff(ingest.backoff_initial_seconds, ingest.backoff_max_seconds, random.random)
    makers = [partial(create_provider, feed, settings, clock) for feed in feeds]
    reader = FeedReader(makers, queue, clock, backoff, slow_retry_seconds=ingest.backoff_max_seconds)
    return ProducerService(reader, queue, Pipeline(publisher, validator, clock), publisher)


async def _serve(settings: Settings, feeds: list[Feed], validator: TickValidator) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    publisher = KafkaPublisher(settings.kafka.bootstrap_servers)
    await build_service(settings, feeds, validator, publisher, SystemClock()).run(stop)
    _logger.info("stopped; everything read is published")
