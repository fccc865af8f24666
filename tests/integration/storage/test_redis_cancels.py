"""Cancels in Redis: the latest price is that of the newest trade that stands, whatever came in which order."""

import random
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from itertools import permutations

import pytest

from marketstream.domain.conditions import CONSOLIDATED, RULES
from marketstream.domain.market import Cancel, Tick
from marketstream.ports import Message
from marketstream.settings import RedisSettings
from marketstream.storage.redis.reader import RedisReader
from marketstream.storage.redis.writer import RedisWriter
from stores import TOPICS, Log, make_bar, make_cancel, make_tick, redis_client, shuffled_runs, topic_ids

pytestmark = pytest.mark.servers

START_US = 1_700_000_040_000_000


def trade(number: int, **changes: object) -> Tick:
    return make_tick(START_US + number, price=100.0 + number, **changes)


def write_anew(cache: RedisSettings, messages: Sequence[Message]) -> None:
    """As a process that has just started would."""
    with closing(RedisWriter(cache, TOPICS, topic_ids)) as writer:
        writer.setup()
        writer.write(messages)


@pytest.mark.parametrize("by_id", [True, False])
@pytest.mark.parametrize("restarted", [True, False])
@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
def test_the_newest_trade_that_stands_is_the_latest_in_whatever_order_they_come(
    cache: RedisSettings, order: tuple[int, ...], restarted: bool, by_id: bool
) -> None:
    first, odd_lot, busted = trade(1), trade(2, conditions=("37",)), trade(3)
    cancel = make_cancel(busted) if by_id else make_cancel(busted, trade_id=None)
    items = [first, odd_lot, busted, cancel]
    log = Log()
    with closing(RedisWriter(cache, TOPICS, topic_ids)) as writer, closing(RedisReader(cache)) as reader:
        writer.setup()
        for index in order:
            messages = log.add(items[index])
            write_anew(cache, messages) if restarted else writer.write(messages)
        assert reader.latest("IBM") == reader.latest_kept("IBM") == first
        assert reader.ticks("IBM", start_us=None, end_us=None, limit=9) == [first, odd_lot, busted]
        again = log.add(cancel, replace(cancel, received_time_us=cancel.received_time_us + 9))
        write_anew(cache, [*log.messages, *again])
        assert reader.latest("IBM") == first
        writer.write(log.add(trade(4)))
        assert reader.latest("IBM") == reader.latest_kept("IBM") == trade(4)


@pytest.mark.parametrize("cancel_first", [True, False])
def test_one_batch_is_as_several(writer: RedisWriter, reader: RedisReader, cancel_first: bool) -> None:
    items = [trade(1), trade(3), make_cancel(trade(3)), trade(2, conditions=("15",))]
    writer.write(Log().add(*(items[::-1] if cancel_first else items)))
    assert reader.latest("IBM") == trade(1)


def test_where_nothing_stands_there_is_no_latest_price(
    cache: RedisSettings, writer: RedisWriter, reader: RedisReader
) -> None:
    log = Log()
    writer.write(log.add(trade(1, conditions=("37",)), trade(2)))
    writer.write(log.add(make_cancel(trade(2))))
    assert (reader.latest("IBM"), reader.latest_kept("IBM")) == (None, None)
    with closing(redis_client(cache)) as client:
        assert client.exists("latest_price:IBM") == 0
    writer.write(log.add(trade(0)))
    assert reader.latest("IBM") == trade(0)


def test_a_chain_of_cancels_goes_back_as_far_as_needed(writer: RedisWriter, reader: RedisReader) -> None:
    log = Log()
    trades = [trade(number) for number in range(6)]
    writer.write(log.add(*trades))
    for newest in (5, 4, 3):
        writer.write(log.add(make_cancel(trades[newest])))
        assert reader.latest("IBM") == trades[newest - 1]
    writer.write(log.add(make_cancel(trades[0]), make_cancel(trades[1])))
    assert reader.latest("IBM") == trades[2]


def test_a_cancel_of_another_trade_changes_nothing(writer: RedisWriter, reader: RedisReader) -> None:
    log = Log()
    newest = trade(2)
    writer.write(log.add(trade(1), newest, trade(9, symbol="BAC")))
    writer.write(
        log.add(
            make_cancel(trade(1)),
            make_cancel(newest, trade_id="another"),
            make_cancel(newest, trade_id=None, price=1.0),
            make_cancel(newest, trade_id=None, size=1.0),
            make_cancel(newest, provider="fmp"),
            make_cancel(newest, symbol="BAC"),
            make_cancel(newest, event_time_us=START_US + 3),
        )
    )
    assert reader.latest("IBM") == newest
    assert reader.latest("BAC") == trade(9, symbol="BAC")


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_a_cancel_without_an_id_takes_one_of_equal_trades_back(
    cache: RedisSettings, reader: RedisReader, order: tuple[int, ...]
) -> None:
    twins = [make_tick(START_US, sequence=number, trade_id=f"t{number}") for number in (1, 2)]
    items = [*twins, make_cancel(twins[1], trade_id=None)]
    log = Log()
    for index in order:
        write_anew(cache, log.add(items[index]))
    assert reader.latest("IBM") == twins[1]
    write_anew(cache, log.add(make_cancel(twins[0])))  # so the other one is meant by the first cancel
    assert reader.latest("IBM") is None


def test_a_cancel_makes_the_price_live_no_longer(
    cache: RedisSettings, writer: RedisWriter, reader: RedisReader
) -> None:
    log = Log()
    writer.write(log.add(trade(1), trade(2)))
    with closing(redis_client(cache)) as client:
        client.expire("latest_price:IBM", 20)
        writer.write(log.add(make_cancel(trade(2))))
        assert 0 < client.ttl("latest_price:IBM") <= 20
        assert client.get("message_count:IBM") == b"2"
        client.delete("latest_price:IBM")
        writer.write(log.add(make_cancel(trade(1))))
        assert client.exists("latest_price:IBM") == 0
        writer.write(log.add(trade(3)))
        assert 55 < client.ttl("latest_price:IBM") <= 60


def test_a_cancelled_trade_of_which_nothing_else_is_kept_leaves_the_price_before_it(
    writer: RedisWriter, reader: RedisReader
) -> None:
    log = Log()
    odd_lots = [trade(10 + number, conditions=("37",)) for number in range(1_200)]
    writer.write(log.add(trade(1), *odd_lots))
    writer.write(log.add(make_cancel(trade(5_000))))
    writer.write(log.add(trade(5_000)))
    assert reader.latest("IBM") == trade(1)
    writer.write(log.add(make_cancel(trade(1))))
    assert reader.latest("IBM") is None


def test_conditions_count_as_the_setting_says(cache: RedisSettings) -> None:
    log = Log()
    with closing(RedisWriter(cache, TOPICS, topic_ids, RULES["all"])) as writer:
        writer.setup()
        writer.write(log.add(trade(1), trade(2, conditions=("37",)), trade(3), make_cancel(trade(3))))
    with closing(RedisReader(cache, RULES["all"])) as every, closing(RedisReader(cache)) as consolidated:
        assert every.latest("IBM") == every.latest_kept("IBM") == trade(2, conditions=("37",))
        assert consolidated.latest_kept("IBM") == trade(1)


def test_only_so_many_cancels_are_kept(cache: RedisSettings, writer: RedisWriter, reader: RedisReader) -> None:
    log = Log()
    writer.write(log.add(trade(5_000), trade(5_001)))
    writer.write(log.add(*(make_cancel(trade(number)) for number in range(1_500)), make_cancel(trade(5_001))))
    assert reader.latest("IBM") == trade(5_000)
    with closing(redis_client(cache)) as client:
        assert client.zcard("cancels:IBM") == 1_000
        assert client.ttl("cancels:IBM") == -1


def test_what_a_cancel_brings_is_not_half_done(cache: RedisSettings, writer: RedisWriter) -> None:
    """A writer that has not heard of another's first cancel of a symbol does not go by what it knew before."""
    log = Log()
    writer.write(log.add(trade(1)))
    write_anew(cache, log.add(make_cancel(trade(2))))
    writer.write(log.add(trade(2), make_bar(START_US, 1)))
    with closing(RedisReader(cache)) as reader, closing(redis_client(cache)) as client:
        assert reader.latest("IBM") == trade(1)
        assert client.get("message_count:IBM") == b"2"


def test_an_emptied_cache_knows_no_cancels_and_goes_on(
    cache: RedisSettings, writer: RedisWriter, reader: RedisReader
) -> None:
    log = Log()
    writer.write(log.add(trade(1), make_cancel(trade(1))))
    with closing(redis_client(cache)) as client:
        client.flushdb()
    writer.write(log.add(trade(2), trade(3)))
    assert reader.latest("IBM") == trade(3)
    writer.write(log.add(make_cancel(trade(3))))
    assert reader.latest("IBM") == trade(2)


def test_members_that_read_trades_and_cancels_apart_end_the_same(cache: RedisSettings, reader: RedisReader) -> None:
    symbols = [f"S{number}" for number in range(8)]
    trades = [trade(number, symbol=symbol) for number in range(60) for symbol in symbols]
    gone = [each for each in trades if each.event_time_us % 3 != 1]
    trade_log, cancel_log = Log(), Log()
    trade_log.add(*trades)
    cancel_log.add(*map(make_cancel, gone))
    faults: list[Exception] = []

    def run(messages: Sequence[Message], size: int) -> None:
        try:
            for first in range(0, len(messages), size):
                write_anew(cache, messages[first : first + size])
        except Exception as error:
            faults.append(error)

    work = [(trade_log.messages, 7), (trade_log.messages, 5), (cancel_log.messages, 4), (cancel_log.messages, 9)]
    threads = [threading.Thread(target=run, args=each) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert faults == []
    for symbol in symbols:
        assert reader.latest(symbol) == standing(trades, list(map(make_cancel, gone)), symbol)
        assert len(reader.ticks(symbol, start_us=None, end_us=None, limit=1_000)) == 60


@pytest.mark.parametrize("seed", range(25))
def test_any_mixture_in_any_order_and_batches_ends_as_a_recomputation_says(
    cache: RedisSettings, reader: RedisReader, seed: int
) -> None:
    chance = random.Random(seed)
    trades = [
        make_tick(
            START_US + chance.randrange(8) * 2,
            symbol=chance.choice(["IBM", "BAC"]),
            sequence=number,
            trade_id=f"t{number}",
            price=chance.choice([1.5, 1 / 3]),
            conditions=chance.choice([(), (), ("37",), ("12",), ("14", "2")]),
            provider=chance.choice(["polygon", "fmp"]),
        )
        for number in range(40)
    ]
    taken = chance.sample(trades, 22)
    cancels = [make_cancel(each, **chance.choice([{}, {"trade_id": None}])) for each in taken]
    mixture: list[Tick | Cancel] = [*trades, *cancels, *chance.sample(cancels, 5)]
    chance.shuffle(mixture)
    log = Log()
    log.add(*mixture)
    for batch in shuffled_runs(log.messages, chance):
        write_anew(cache, batch)
    for symbol in ("IBM", "BAC"):
        expected = standing(trades, cancels, symbol)
        assert (reader.latest(symbol), reader.latest_kept(symbol)) == (expected, expected)


def standing(trades: Sequence[Tick], cancels: Sequence[Cancel], symbol: str) -> Tick | None:
    """Plainly: those with ids first, then each of the others takes the first that is left and equals it."""
    left = sorted((each for each in trades if each.symbol == symbol), key=lambda tick: (*tick.order, tick.trade_id))
    said = {
        (each.event_time_us, each.provider, each.trade_id or "", each.price, each.size)
        for each in cancels
        if each.symbol == symbol
    }
    for time_us, provider, trade_id, price, size in sorted(said, key=lambda one: not one[2]):
        for tick in left:
            alike = tick.trade_id == trade_id if trade_id else (tick.price, tick.size) == (price, size)
            if (tick.event_time_us, tick.provider) == (time_us, provider) and alike:
                left.remove(tick)
                break
    priced = [tick for tick in left if CONSOLIDATED.updates(tick.provider, tick.conditions).last]
    return priced[-1] if priced else None
