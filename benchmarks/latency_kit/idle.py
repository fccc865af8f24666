"""Symbols that trade once and fall silent: how long after their time has passed their bars are final.

Writes: topic `tick_data`, as a producer would. Reads: topic `aggregated_data_1min`.
"""

import time

from latency_kit.topics import read_topic

from marketstream.bus.publisher import KafkaPublisher
from marketstream.contracts.messages import decode_bar, encode
from marketstream.contracts.topics import TICKS
from marketstream.domain.market import Tick
from marketstream.settings import Settings

SYMBOLS = [f"IDLE{number}USDT" for number in range(10)]
_BEFORE_END_SECONDS = 5.0
_MINUTE_SECONDS = 60.0


def idle_delays(settings: Settings) -> list[float]:
    """Milliseconds from when each bar's end and lateness had passed in silence until its final was in Kafka.

    One trade of each symbol, 5 s before the minute ends; takes up to 90 s. Symbols without a final are left out.
    """
    time.sleep((_MINUTE_SECONDS - _BEFORE_END_SECONDS - time.time()) % _MINUTE_SECONDS)
    publisher = KafkaPublisher(settings.kafka.bootstrap_servers)
    sent_us = time.time_ns() // 1_000
    for symbol in SYMBOLS:
        publisher.publish(TICKS, symbol, encode(_tick(symbol, sent_us)))
    publisher.flush(10)
    lateness = settings.ingest.allowed_lateness_seconds
    time.sleep(lateness + settings.streaming.idle_grace_seconds + 10.0)
    delays = []
    for at_ms, value in read_topic(settings, "aggregated_data_1min", sent_us):
        bar = decode_bar(value)
        if bar.final and bar.symbol in SYMBOLS:
            delays.append(at_ms - max(bar.end_us, sent_us + lateness * 1e6) / 1_000)
    return delays


def _tick(symbol: str, now_us: int) -> Tick:
    return Tick(
        symbol=symbol,
        price=100.0,
        size=1.0,
        event_time_us=now_us,
        received_time_us=now_us,
        provider="binance",
        trade_id=str(now_us),
        asset_class="crypto",
    )
