"""What can be seen in the stores from outside, and when."""

import bisect
import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg2
import redis

from marketstream.settings import Settings

SYMBOLS = [f"S{number:02d}USDT" for number in range(1, 21)]
WINDOW = "1min"
# Looking costs processor time that the platform then lacks, so in Redis only one symbol in four is looked at.
REDIS_SYMBOLS = SYMBOLS[::4]


@dataclass
class Watch:
    """What was seen of one symbol in one place: at each look, a rising mark and the time of the look in µs."""

    marks: list[Any] = field(default_factory=list)
    seen_us: list[int] = field(default_factory=list)

    def look(self, mark: Any, now_us: int | None = None) -> None:
        """Remembers the mark if it is newer than all before; seen now, or at the moment given."""
        if not self.marks or mark > self.marks[-1]:
            self.marks.append(mark)
            self.seen_us.append(time.time_ns() // 1_000 if now_us is None else now_us)

    def first_at_or_after(self, mark: Any) -> int | None:
        """When this mark, or one past it, was first seen; None for those before the first look."""
        index = bisect.bisect_left(self.marks, mark)
        return self.seen_us[index] if 0 < index < len(self.marks) else None


Watches = dict[str, dict[str, Watch]]


def watch_redis(settings: Settings, watches: Watches, stop: threading.Event, pause: float) -> None:
    """Looks at the latest tick and bar of some symbols."""
    client = redis.Redis(
        host=settings.redis.host, port=settings.redis.port, password=settings.redis.password.get_secret_value()
    )
    ticks = [f"latest_price:{symbol}" for symbol in REDIS_SYMBOLS]
    keys = ticks + [f"aggregated:{symbol}:{WINDOW}" for symbol in REDIS_SYMBOLS]
    before: list[bytes | None] = [None] * len(keys)
    while not stop.wait(pause):
        values = client.mget(keys)
        for index, (value, old) in enumerate(zip(values, before, strict=True)):
            if value is None or value == old:
                continue
            symbol = REDIS_SYMBOLS[index % len(REDIS_SYMBOLS)]
            message = json.loads(value)
            if index < len(ticks):
                watches["redis tick"][symbol].look((message["event_time_us"], message["sequence"]))
            else:
                watches["redis bar"][symbol].look((message["start_us"], message["trade_count"]))
        before = values


def watch_rest(settings: Settings, watches: Watches, stop: threading.Event, pause: float) -> None:
    """Asks for one symbol's newest bar again and again."""
    url = f"http://{settings.serving.host}:{settings.serving.api_port}/api/v1/aggregated/{SYMBOLS[0]}"
    with httpx.Client(timeout=10) as client:
        while not stop.wait(pause):
            bars = client.get(url, params={"window": WINDOW, "limit": 1}).raise_for_status().json()["bars"]
            for bar in bars:
                watches["rest bar"][SYMBOLS[0]].look((bar["start_us"], bar["trade_count"]))


def watch_postgres(settings: Settings, watches: Watches, stop: threading.Event, pause: float) -> None:
    """Asks for one symbol's newest tick and bar again and again."""
    options = settings.postgres
    connection = psycopg2.connect(
        host=options.host,
        port=options.port,
        dbname=options.database,
        user=options.reader,
        password=options.reader_password.get_secret_value(),
    )
    connection.autocommit = True
    newest_tick = (
        "select (extract(epoch from event_time) * 1000000)::bigint, sequence from tick_data "
        "where symbol = %s and event_time > now() - interval '2 minutes' "
        "order by event_time desc, sequence desc limit 1"
    )
    newest_bar = (
        "select (extract(epoch from start_time) * 1000000)::bigint, trade_count from aggregated_data "
        "where symbol = %s and interval = %s and start_time > now() - interval '5 minutes' "
        "order by start_time desc limit 1"
    )
    with connection.cursor() as cursor:
        while not stop.wait(pause):
            cursor.execute(newest_tick, (SYMBOLS[0],))
            for row in cursor.fetchall():
                watches["postgres tick"][SYMBOLS[0]].look(tuple(row))
            cursor.execute(newest_bar, (SYMBOLS[0], WINDOW))
            for row in cursor.fetchall():
                watches["postgres bar"][SYMBOLS[0]].look(tuple(row))
    connection.close()
