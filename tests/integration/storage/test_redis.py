"""What only Redis has: lifetimes, the list's length and order, and applied offsets that know their topic."""

import threading
from collections.abc import Sequence
from contextlib import closing

import orjson
import pytest

from marketstream.contracts.messages import decode_tick, encode
from marketstream.domain.conditions import RULES
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick
from marketstream.ports import Message
from marketstream.settings import RedisSettings
from marketstream.storage.redis.reader import RedisReader
from marketstream.storage.redis.writer import RedisWriter
from stores import (
    MINUTE_US,
    TOPICS,
    Log,
    make_bar,
    make_indicators,
    make_provider_bar,
    make_quote,
    make_tick,
    redis_client,
    topic_ids,
)

pytestmark = pytest.mark.servers

START_US = 1_381_152_600_000_000


def newest_ticks(reader: RedisReader, limit: int = 2_000) -> list[Tick]:
    return reader.ticks("IBM", start_us=None, end_us=None, limit=limit)


def newest_bar(reader: RedisReader) -> list[Bar]:
    return reader.bars("IBM", Interval.parse("1min"), start_us=None, end_us=None, limit=1)


def test_every_key_lives_as_long_as_it_should(cache: RedisSettings, writer: RedisWriter) -> None:
    writer.write(Log().add(make_tick(START_US), make_bar(START_US, 1)))

    with closing(redis_client(cache)) as client:
        lifetimes = {key.decode(): client.ttl(key) for key in client.scan_iter()}
    assert 55 <= lifetimes.pop("latest_price:IBM") <= 60
    assert 55 <= lifetimes.pop("message_count:IBM") <= 60
    assert 295 <= lifetimes.pop("aggregated:IBM:1min") <= 300
    assert lifetimes == {"ticks:IBM": -1, **{f"applied:{topic}": -1 for topic in TOPICS}}


def test_a_quote_lives_for_a_minute(cache: RedisSettings, writer: RedisWriter) -> None:
    writer.write(Log().add(make_quote(START_US)))

    with closing(redis_client(cache)) as client:
        assert client.keys("latest_quote:*") == [b"latest_quote:IBM"]
        assert 55 < client.ttl("latest_quote:IBM") <= 60


def test_indicators_live_as_long_as_bars_together(cache: RedisSettings, writer: RedisWriter) -> None:
    log = Log()
    minute, five_minutes = (make_indicators(make_bar(START_US, 5, interval=name)) for name in ("1min", "5min"))
    writer.write(log.add(minute, five_minutes))

    with closing(redis_client(cache)) as client:
        assert client.keys("indicators:*") == [b"indicators:IBM"]
        assert client.hgetall("indicators:IBM") == {b"1min": encode(minute), b"5min": encode(five_minutes)}
        assert 295 <= client.ttl("indicators:IBM") <= 300
        client.expire("indicators:IBM", 20)
        writer.write(log.add(make_indicators(make_bar(START_US, 4))))
        assert client.ttl("indicators:IBM") <= 20


def test_a_bar_made_here_again_passes_a_providers_with_blanks(writer: RedisWriter, reader: RedisReader) -> None:
    log = Log()
    of_provider = make_provider_bar(START_US, START_US + 5, final=True)
    spaced = orjson.dumps(orjson.loads(encode(of_provider)), option=orjson.OPT_INDENT_2)
    writer.write([log.add_raw("provider_bars", "IBM", spaced)])

    writer.write(log.add(make_bar(START_US, 1)))

    assert newest_bar(reader) == [make_bar(START_US, 1)]


def test_the_count_of_a_minute_does_not_live_on_with_every_tick(cache: RedisSettings, writer: RedisWriter) -> None:
    log = Log()
    writer.write(log.add(make_tick(START_US)))
    with closing(redis_client(cache)) as client:
        client.expire("message_count:IBM", 20)
        writer.write(log.add(make_tick(START_US + 1), make_tick(START_US + 2)))

        assert client.get("message_count:IBM") == b"3"
        assert client.ttl("message_count:IBM") <= 20


def test_only_the_newest_thousand_ticks_are_kept(writer: RedisWriter, reader: RedisReader) -> None:
    log = Log()
    ticks = [make_tick(START_US + number) for number in range(2_500)]
    for first in range(0, 2_500, 700):
        writer.write(log.add(*ticks[first : first + 700]))

    assert newest_ticks(reader) == ticks[-1_000:]


def test_a_trade_that_does_not_update_the_last_price_is_in_the_list_and_not_the_latest(
    writer: RedisWriter, reader: RedisReader
) -> None:
    log = Log()
    odd_lot = make_tick(START_US + 1, price=99.0, conditions=("37",))
    writer.write(log.add(odd_lot))
    assert (reader.latest("IBM"), newest_ticks(reader)) == (None, [odd_lot])
    priced = make_tick(START_US, conditions=("12", "14"))
    writer.write(log.add(make_tick(START_US + 2, conditions=("15",)), priced))
    assert reader.latest("IBM") == priced
    assert len(newest_ticks(reader)) == 3
    many = [make_tick(START_US + 10 + number, conditions=("37",)) for number in range(1_500)]
    writer.write(log.add(make_tick(START_US + 5), *many))
    assert reader.latest("IBM") == make_tick(START_US + 5)
    assert newest_ticks(reader) == many[-1_000:]


def test_every_trade_is_the_latest_where_conditions_are_not_looked_at(
    cache: RedisSettings, reader: RedisReader
) -> None:
    with closing(RedisWriter(cache, TOPICS, topic_ids, RULES["all"])) as writer:
        writer.setup()
        writer.write(Log().add(make_tick(START_US), make_tick(START_US + 1, conditions=("37",))))
    assert reader.latest("IBM") == make_tick(START_US + 1, conditions=("37",))


def test_a_late_tick_finds_its_place_and_is_not_the_latest(writer: RedisWriter, reader: RedisReader) -> None:
    log = Log()
    ticks = [make_tick(START_US + number * 10) for number in range(50)]
    late = make_tick(START_US + 205)

    writer.write(log.add(*ticks))
    writer.write(log.add(late))

    assert newest_ticks(reader) == sorted([*ticks, late], key=lambda tick: tick.order)
    assert reader.latest("IBM") == ticks[-1]


def test_an_old_days_replay_does_not_push_out_today(writer: RedisWriter, reader: RedisReader) -> None:
    log = Log()
    today = [make_tick(START_US + number) for number in range(1_000)]
    writer.write(log.add(*today))

    writer.write(log.add(*(make_tick(START_US - 10_000 + number) for number in range(1_500))))

    assert newest_ticks(reader) == today
    assert reader.latest("IBM") == today[-1]


def test_sequences_beyond_a_doubles_integers_still_have_an_order(writer: RedisWriter, reader: RedisReader) -> None:
    log = Log()
    for base in (2**53, 2**60, -(2**60), 9_999_999_999_999_999):
        ticks = [make_tick(START_US, sequence=base + number, trade_id=str(number)) for number in (2, 0, 1)]
        for tick in ticks:
            writer.write(log.add(tick))

    found = newest_ticks(reader)
    assert len(found) == 12
    assert [tick.order for tick in found] == sorted(tick.order for tick in found)
    assert reader.latest("IBM") == found[-1]


def test_a_bar_again_does_not_live_longer(cache: RedisSettings, writer: RedisWriter) -> None:
    log = Log()
    writer.write(log.add(make_bar(START_US, 5)))
    with closing(redis_client(cache)) as client:
        client.expire("aggregated:IBM:1min", 20)
        writer.write(log.add(make_bar(START_US, 5), make_bar(START_US, 4), make_bar(START_US - MINUTE_US, 9)))
        assert client.ttl("aggregated:IBM:1min") <= 20

        writer.write(log.add(make_bar(START_US, 6)))
        assert client.ttl("aggregated:IBM:1min") > 20


def test_an_expired_bar_may_be_followed_by_any(cache: RedisSettings, writer: RedisWriter, reader: RedisReader) -> None:
    log = Log()
    writer.write(log.add(make_bar(START_US, 5)))
    with closing(redis_client(cache)) as client:
        client.delete("aggregated:IBM:1min")

    writer.write(log.add(make_bar(START_US - MINUTE_US, 9)))

    assert newest_bar(reader) == [make_bar(START_US - MINUTE_US, 9)]


def test_messages_with_blanks_between_their_fields_are_understood(writer: RedisWriter, reader: RedisReader) -> None:
    log = Log()
    spaced = b"""{ "interval" : "1min", "symbol" : "IBM", "start_us" : %d, "end_us": %d, "open":1, "high":1, "low":1,
        "close":1, "volume":1, "vwap":1, "trade_count" : 7, "last_event_time_us":1, "last_received_time_us":1,
        "final" : true, "revision" : 0 }""" % (START_US, START_US + MINUTE_US)
    writer.write([log.add_raw("aggregated_data_1min", "IBM", spaced)])

    writer.write(log.add(make_bar(START_US, 7), make_bar(START_US, 6)))

    [bar] = newest_bar(reader)
    assert (bar.trade_count, bar.final) == (7, True)


def test_a_text_that_looks_like_a_field_is_none(writer: RedisWriter, reader: RedisReader) -> None:
    trap = '"event_time_us":9,"sequence":9,'
    first = make_tick(START_US, symbol="IBM", trade_id=trap, exchange=trap)
    log = Log()
    writer.write(log.add(first))

    writer.write(log.add(make_tick(START_US + 1)))

    assert newest_ticks(reader) == [first, make_tick(START_US + 1)]


class Identities:
    """The broker's answer, which a test changes as if topics were made again."""

    def __init__(self) -> None:
        self.generation = 1
        self.questions = 0

    def __call__(self, topics: Sequence[str]) -> dict[str, str]:
        self.questions += 1
        return {topic: f"{topic} {self.generation}" for topic in topics}


@pytest.mark.parametrize("restarted", [False, True])
def test_a_topic_that_was_made_again_starts_afresh(cache: RedisSettings, reader: RedisReader, restarted: bool) -> None:
    identities = Identities()
    writer = RedisWriter(cache, TOPICS, identities)
    writer.setup()
    writer.write(Log().add(*(make_tick(START_US + number) for number in range(10))))
    identities.generation = 2
    if restarted:
        writer.setup()

    writer.write(Log().add(make_tick(START_US + 100)))

    writer.close()
    assert reader.latest("IBM") == make_tick(START_US + 100)
    assert len(newest_ticks(reader)) == 11


def test_the_broker_is_not_asked_about_every_batch(cache: RedisSettings) -> None:
    identities = Identities()
    with closing(RedisWriter(cache, TOPICS, identities)) as writer:
        writer.setup()
        log = Log()
        for number in range(20):
            writer.write(log.add(make_tick(START_US + number)))
    assert identities.questions == 1


def test_an_emptied_cache_fills_again(cache: RedisSettings, writer: RedisWriter, reader: RedisReader) -> None:
    log = Log()
    writer.write(log.add(make_tick(START_US)))
    with closing(redis_client(cache)) as client:
        client.flushdb()

    writer.write(log.add(make_tick(START_US + 1)))

    assert newest_ticks(reader) == [make_tick(START_US + 1)]
    with closing(redis_client(cache)) as client:
        assert client.hgetall("applied:tick_data")[b"0"] == b"1"


def test_two_members_that_both_think_a_partition_theirs_count_each_message_once(
    cache: RedisSettings, reader: RedisReader
) -> None:
    log = Log()
    batches: list[list[Message]] = [
        log.add(*(make_tick(START_US + number * 10 + each) for each in range(10))) for number in range(60)
    ]
    faults: list[Exception] = []

    def run() -> None:
        try:
            with closing(RedisWriter(cache, TOPICS, topic_ids)) as writer:
                writer.setup()
                for batch in batches:
                    writer.write(batch)
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert faults == []
    assert newest_ticks(reader) == [decode_tick(message.value) for message in log.messages]
    with closing(redis_client(cache)) as client:
        assert client.get("message_count:IBM") == b"600"


def test_a_full_redis_is_waited_for_and_nothing_is_half_done(
    cache: RedisSettings, writer: RedisWriter, reader: RedisReader
) -> None:
    from marketstream.domain.errors import StoreUnavailableError

    log = Log()
    batch = log.add(make_tick(START_US), make_bar(START_US, 1))
    with closing(redis_client(cache)) as client:
        limits = {name: client.config_get(name)[name] for name in ("maxmemory", "maxmemory-policy")}
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        try:
            with pytest.raises(StoreUnavailableError, match="maxmemory"):
                writer.write(batch)
            assert newest_ticks(reader) == []
        finally:
            for name, value in limits.items():
                client.config_set(name, value)

    writer.setup()
    writer.write(batch)

    assert newest_ticks(reader) == [make_tick(START_US)]
