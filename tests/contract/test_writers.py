"""Every store's writer keeps the `Writer` port's promises, on a real server."""

import random
import time
from collections.abc import Callable, Iterator

import pytest

from marketstream.domain.errors import StoreUnavailableError
from marketstream.ports import Message
from marketstream.settings import Settings
from marketstream.storage.decoding import UndecodableError
from stores import (
    INDICATOR_NAMES,
    MINUTE_US,
    Contents,
    Log,
    Store,
    influx_store,
    make_bar,
    make_indicators,
    make_provider_bar,
    make_tick,
    redis_store,
    timescale_store,
)

pytestmark = pytest.mark.servers


@pytest.fixture(params=["timescale", "redis", "influx"])
def store(request: pytest.FixtureRequest, server_settings: Callable[..., Settings]) -> Iterator[Store]:
    if request.param == "timescale":
        with timescale_store(server_settings("postgres").postgres) as opened:
            yield opened
    elif request.param == "redis":
        with redis_store(server_settings("redis").redis) as opened:
            yield opened
    else:
        with influx_store(server_settings("influxdb").influx) as opened:
            yield opened


@pytest.fixture
def start_us() -> int:
    """Half an hour ago, at a full minute: within every store's retention."""
    return (time.time_ns() // 1_000 - 30 * MINUTE_US) // MINUTE_US * MINUTE_US


def write_all(store: Store, *batches: list[Message]) -> None:
    writer = store.writer()
    writer.setup()
    try:
        for batch in batches:
            writer.write(batch)
    finally:
        writer.close()


def mixed_log(start_us: int, chance: random.Random) -> Log:
    """Two symbols' trades, some late, and their bars' and indicators' versions, some replayed behind newer ones."""
    log = Log()
    for number in range(60):
        symbol = chance.choice(["IBM", "BAC"])
        late_us = chance.choice([0, 0, 0, 3_000_000])
        time_us = start_us + number * 1_000_000 - late_us
        log.add(make_tick(time_us, symbol=symbol, sequence=number, price=100 + chance.random(), size=chance.random()))
        count = max(1, number - chance.choice([0, 0, 5]))
        bar = make_bar(start_us + number // 30 * MINUTE_US, count, symbol=symbol)
        log.add(bar, make_indicators(bar))
    return log


def test_stores_what_it_is_given(store: Store, start_us: int) -> None:
    log = mixed_log(start_us, random.Random(1))

    write_all(store, log.messages)

    assert store.contents() == Contents.expected(log.messages)


def test_the_same_batch_again_changes_nothing(store: Store, start_us: int) -> None:
    log = mixed_log(start_us, random.Random(2))
    write_all(store, log.messages)
    before = store.contents()

    write_all(store, log.messages, log.messages[:10], log.messages)

    assert store.contents() == before


@pytest.mark.parametrize("size", [1, 7, 50])
def test_how_messages_are_split_into_batches_changes_nothing(store: Store, start_us: int, size: int) -> None:
    log = mixed_log(start_us, random.Random(3))

    write_all(store, *(log.messages[index : index + size] for index in range(0, len(log.messages), size)))

    assert store.contents() == Contents.expected(log.messages)


def test_an_older_version_of_a_bar_never_replaces_a_newer_one(store: Store, start_us: int) -> None:
    log = Log()
    newest = make_bar(start_us, 9, final=True, revision=1)
    older = [make_bar(start_us, 9, final=True), make_bar(start_us, 9), make_bar(start_us, 3), make_bar(start_us, 8)]

    write_all(store, log.add(make_bar(start_us, 2)), log.add(newest), *(log.add(bar) for bar in older))

    assert store.contents() == Contents.of([], [newest])


@pytest.mark.parametrize("one_batch", [True, False])
def test_a_bar_without_its_cancelled_trades_outranks_the_one_with_them(
    store: Store, start_us: int, one_batch: bool
) -> None:
    log = Log()
    final = make_bar(start_us, 9, final=True, revision=3)
    corrected = make_bar(start_us, 8, cancelled=1)
    fewer = make_bar(start_us, 7, final=True, revision=9)
    said = [make_indicators(corrected), make_indicators(final)]
    messages = log.add(final, corrected, final, make_bar(start_us, 9), fewer, *said)

    write_all(store, *([messages] if one_batch else ([message] for message in messages)))

    assert store.contents() == Contents.of([], [corrected], [make_indicators(corrected)])
    write_all(store, log.add(make_bar(start_us, 10)))
    assert store.contents() == Contents.of([], [make_bar(start_us, 10)], [make_indicators(corrected)])
    write_all(store, messages, log.add(make_bar(start_us, 9, cancelled=1)), log.add(final))
    assert store.contents() == Contents.of([], [make_bar(start_us, 9, cancelled=1)], [make_indicators(corrected)])


def test_a_new_process_does_not_take_bars_backwards(store: Store, start_us: int) -> None:
    log = Log()
    newest = make_bar(start_us, 9)
    write_all(store, log.add(newest))

    write_all(store, log.add(make_bar(start_us, 3)), log.add(make_bar(start_us, 8)))

    assert store.contents() == Contents.of([], [newest])


def test_a_new_process_takes_bars_forward(store: Store, start_us: int) -> None:
    log = Log()
    write_all(store, log.add(make_bar(start_us, 9)))

    write_all(store, log.add(make_bar(start_us, 3), make_bar(start_us, 10)))

    assert store.contents() == Contents.of([], [make_bar(start_us, 10)])


def test_a_providers_bar_is_a_bar(store: Store, start_us: int) -> None:
    log = Log()
    log.add(
        make_provider_bar(start_us, start_us + 5), make_provider_bar(start_us, start_us + 7, symbol="BAC", vwap=182.5)
    )

    write_all(store, log.messages)

    assert store.contents() == Contents.expected(log.messages)


def test_the_later_received_of_a_providers_bars_wins(store: Store, start_us: int) -> None:
    log = Log()
    first, second, third = (make_provider_bar(start_us, start_us + n, close=182.5 + n, high=190.0) for n in (1, 2, 3))

    write_all(store, log.add(first), log.add(third), log.add(second), log.add(first))

    assert store.contents() == Contents.of([], [third])


@pytest.mark.parametrize("one_batch", [True, False])
@pytest.mark.parametrize("computed_first", [True, False])
def test_a_bar_made_here_wins_over_a_providers(
    store: Store, start_us: int, computed_first: bool, one_batch: bool
) -> None:
    log = Log()
    computed = make_bar(start_us, 1)
    of_provider = make_provider_bar(start_us, start_us + 9_000_000, final=True, trade_count=500, vwap=182.9)
    messages = log.add(*((computed, of_provider) if computed_first else (of_provider, computed)))

    write_all(store, *([messages] if one_batch else ([message] for message in messages)))

    assert store.contents() == Contents.of([], [computed])


def test_a_bar_made_here_is_not_replaced_by_a_new_process(store: Store, start_us: int) -> None:
    log = Log()
    write_all(store, log.add(make_bar(start_us, 1)))

    write_all(store, log.add(make_provider_bar(start_us, start_us + 1, final=True)))

    assert store.contents() == Contents.of([], [make_bar(start_us, 1)])


def test_a_new_process_takes_a_providers_bar_forward_only(store: Store, start_us: int) -> None:
    log = Log()
    write_all(store, log.add(make_provider_bar(start_us, start_us + 5)))

    write_all(store, log.add(make_provider_bar(start_us, start_us + 4, close=182.9, high=185.0)))

    assert store.contents() == Contents.of([], [make_provider_bar(start_us, start_us + 5)])


def test_indicators_of_an_older_version_never_replace_newer_ones(store: Store, start_us: int) -> None:
    log = Log()
    newest, next_bar = make_bar(start_us, 9, final=True, revision=1), make_bar(start_us + MINUTE_US, 1)
    older = [make_bar(start_us, 9, final=True), make_bar(start_us, 9), make_bar(start_us, 8)]
    write_all(store, log.add(next_bar, make_indicators(make_bar(start_us, 2))), log.add(make_indicators(newest)))

    write_all(store, *(log.add(make_indicators(bar)) for bar in older))

    assert store.contents() == Contents.of([], [next_bar], [make_indicators(newest)])
    write_all(store, log.add(make_indicators(next_bar)), log.add(make_indicators(newest)))
    assert store.contents() == Contents.of([], [next_bar], [make_indicators(next_bar)])


@pytest.mark.parametrize("one_batch", [True, False])
def test_corrected_indicators_of_the_same_version_count(store: Store, start_us: int, one_batch: bool) -> None:
    log = Log()
    bar = make_bar(start_us, 9, final=True)
    first, corrected = make_indicators(bar, sma_20=1.0, rsi_14=2.0), make_indicators(bar, sma_20=3.0, rsi_14=4.0)
    messages = log.add(bar, first, corrected)

    write_all(store, *([messages] if one_batch else ([message] for message in messages)))

    assert store.contents() == Contents.of([], [bar], [corrected])
    write_all(store, messages)  # as after a crash: the first again, and then the corrected ones
    assert store.contents() == Contents.of([], [bar], [corrected])


def test_indicators_of_a_bar_made_here_win_over_those_of_a_providers(store: Store, start_us: int) -> None:
    log = Log()
    computed, of_provider = make_bar(start_us, 1), make_provider_bar(start_us, start_us + 9, final=True)

    write_all(store, log.add(computed, make_indicators(of_provider)))
    assert store.contents() == Contents.of([], [computed], [make_indicators(of_provider)])

    write_all(store, log.add(make_indicators(computed)), log.add(make_indicators(of_provider)))
    assert store.contents() == Contents.of([], [computed], [make_indicators(computed)])


def test_numbers_keep_every_bit(store: Store, start_us: int) -> None:
    log = Log()
    awkward = [0.1 + 0.2, 1e-308, 5e-324, 999999999999999.9, 123456789.12345679, 1 / 3]
    extremes = (-1.7976931348623157e308, 5e-324, 1e23, -1 / 3, 5.0, 0.0)
    values = dict(zip(INDICATOR_NAMES, extremes, strict=False))
    log.add(make_tick(start_us + 10), make_indicators(make_bar(start_us, 3), **values))
    log.add(*(make_tick(start_us + i, price=number, size=number, sequence=i) for i, number in enumerate(awkward)))

    write_all(store, log.messages)

    assert store.contents() == Contents.expected(log.messages)


def test_trades_of_one_microsecond_are_all_kept(store: Store, start_us: int) -> None:
    log = Log()
    log.add(*(make_tick(start_us, sequence=number, trade_id=f"t{number}", size=float(number)) for number in range(50)))

    write_all(store, log.messages)

    assert store.contents() == Contents.expected(log.messages)


@pytest.mark.parametrize("symbol", ["BRK.B", "A B", "A,B", "A=B", "Ä€", "BTC-USD:PERP", "%s", '"', "'"])
def test_any_symbol_is_kept_as_it_is(store: Store, start_us: int, symbol: str) -> None:
    log = Log()
    bar = make_bar(start_us, 1, symbol=symbol)
    log.add(make_tick(start_us, symbol=symbol), bar, make_indicators(bar))

    write_all(store, log.messages)

    assert store.contents() == Contents.expected(log.messages)


def test_messages_that_are_no_ticks_or_bars_are_named_and_nothing_is_stored(store: Store, start_us: int) -> None:
    log = Log()
    log.add(make_tick(start_us))
    wrong = [
        log.add_raw("tick_data", "IBM", b"{"),
        log.add_raw("tick_data", "IBM", b'{"symbol":"IBM","price":-1}'),
        log.add_raw("aggregated_data_1min", "IBM", b"\xff"),
        log.add_raw("technical_indicators", "IBM", b"{}"),
    ]
    writer = store.writer()
    writer.setup()

    with pytest.raises(UndecodableError) as caught:
        writer.write(log.messages)

    writer.close()
    assert [fault.message for fault in caught.value.faults] == wrong
    assert store.contents() == Contents.of([], [])


def test_a_bar_on_another_intervals_topic_is_refused(store: Store, start_us: int) -> None:
    log = Log()
    [message] = log.add(make_bar(start_us, 1))
    misplaced = Message("aggregated_data_5min", 0, 0, message.key, message.value, message.timestamp_ms)

    with pytest.raises(UndecodableError, match="1min bar on aggregated_data_5min"):
        write_all(store, [misplaced])


def test_setup_again_goes_on_where_it_was(store: Store, start_us: int) -> None:
    log = mixed_log(start_us, random.Random(4))
    writer = store.writer()
    for index in range(0, len(log.messages), 40):
        writer.setup()
        writer.write(log.messages[index : index + 40])
    writer.close()

    assert store.contents() == Contents.expected(log.messages)


def test_a_store_that_is_away_is_said_to_be_away(store: Store) -> None:
    with pytest.raises(StoreUnavailableError):
        store.unreachable_writer().setup()


def test_a_closed_writer_says_so(store: Store, start_us: int) -> None:
    writer = store.writer()
    writer.setup()
    writer.close()

    with pytest.raises(StoreUnavailableError):
        writer.write(Log().add(make_tick(start_us)))
