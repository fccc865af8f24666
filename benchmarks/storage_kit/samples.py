"""Made-up ticks and bars, and the messages that carry them."""

import random
import time
from collections.abc import Iterator, Sequence

from marketstream.contracts.messages import encode
from marketstream.domain.market import Bar, Tick
from marketstream.ports import Message

SYMBOLS = [f"S{number:02d}USDT" for number in range(20)]
INTERVALS_US = {"1min": 60_000_000, "5min": 300_000_000, "15min": 900_000_000}
TICKS_PER_SECOND = 1_000
# Of this day, so that every store keeps them whatever its retention.
START_US = time.time_ns() // 1_000 // 86_400_000_000 * 86_400_000_000
CHANCE = random.Random(7)  # noqa: S311  # figures, no secret


def make_tick(number: int) -> Tick:
    """One of a thousand trades a second over all symbols."""
    return Tick(
        symbol=SYMBOLS[number % len(SYMBOLS)],
        price=round(100 + CHANCE.gauss(0, 1), 2),
        size=round(CHANCE.expovariate(1), 4),
        event_time_us=START_US + number * 1_000,
        received_time_us=time.time_ns() // 1_000,
        provider="binance",
        trade_id=str(number),
        sequence=number,
        asset_class="crypto",
        side="buy",
    )


def bars_of(tick: Tick) -> Iterator[Bar]:
    """A version of each interval's bar, as Spark emits them for every trade."""
    for name, length in INTERVALS_US.items():
        start_us = tick.event_time_us // length * length
        yield Bar(
            symbol=tick.symbol,
            interval=name,
            start_us=start_us,
            end_us=start_us + length,
            open=tick.price,
            high=tick.price,
            low=tick.price,
            close=tick.price,
            volume=tick.size,
            vwap=tick.price,
            trade_count=tick.sequence + 1,
            last_event_time_us=tick.event_time_us,
            last_received_time_us=tick.received_time_us,
        )


def topic_of(item: Tick | Bar) -> str:
    """Where it is published."""
    return "tick_data" if isinstance(item, Tick) else f"aggregated_data_{item.interval}"


def messages_of(items: Sequence[Tick | Bar]) -> list[Message]:
    """As they come from the broker, one partition per topic."""
    offsets: dict[str, int] = {}
    messages = []
    for item in items:
        topic = topic_of(item)
        offsets[topic] = offsets.get(topic, -1) + 1
        messages.append(Message(topic, 0, offsets[topic], item.symbol, encode(item), 0))
    return messages
