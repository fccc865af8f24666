"""The writers' loop: what is committed when, and what becomes of bad messages and absent stores."""

from collections.abc import Callable, Sequence
from threading import Event

import pytest

from marketstream.contracts.messages import decode_dead_letter
from marketstream.domain.errors import BusError, StoreError, StoreUnavailableError
from marketstream.domain.outcomes import Reason
from marketstream.ports import Message, Positions
from marketstream.storage.decoding import decode
from marketstream.storage.service import Chore, Flush, WriterService
from marketstream.testing.fakes import InMemoryPublisher, InMemorySource, InMemoryWriter
from stores import MINUTE_US, Log, make_bar, make_tick

START_US = 1_381_152_600_000_000


class RefusingWriter(InMemoryWriter):
    """Decodes as the real ones do, and refuses every batch with a trade of this size."""

    def __init__(self, refused_size: float | None = None) -> None:
        super().__init__()
        self._refused_size = refused_size

    def write(self, batch: Sequence[Message]) -> None:
        if any(tick.size == self._refused_size for _, tick in decode(batch).ticks):
            raise StoreError("value out of range")
        super().write(batch)


class FlakyWriter(InMemoryWriter):
    """Is away for the first calls of `setup` and `write`, as a list says: True for away."""

    def __init__(self, away: Sequence[bool]) -> None:
        super().__init__()
        self._away = list(away)

    def ping(self) -> None:
        if self._away and self._away.pop(0):
            raise StoreUnavailableError("restarting")


class EndingSource(InMemorySource):
    """Stops the service once everything is read, or at the n-th call of `hold`."""

    def __init__(self, messages: Sequence[Message], stop: Event, *, holds: int | None = None) -> None:
        super().__init__(messages)
        self._stop = stop
        self._holds = holds
        self.commits: list[dict[tuple[str, int], int]] = []

    def poll(self, max_messages: int, timeout_seconds: float) -> Sequence[Message]:
        batch = super().poll(max_messages, timeout_seconds)
        if not batch:
            self._stop.set()
        return batch

    def hold(self, timeout_seconds: float) -> None:
        super().hold(timeout_seconds)
        if self.held == self._holds:
            self._stop.set()

    def commit(self, positions: Positions) -> None:
        super().commit(positions)
        self.commits.append(dict(positions))


def run(
    messages: Sequence[Message],
    writer: InMemoryWriter,
    *,
    max_messages: int = 100,
    publisher: InMemoryPublisher | None = None,
    holds: int | None = None,
    chores: Sequence[Chore] = (),
) -> tuple[EndingSource, InMemoryPublisher]:
    stop = Event()
    source = EndingSource(messages, stop, holds=holds)
    publisher = publisher or InMemoryPublisher()
    WriterService(source, writer, publisher, Flush(max_messages, 0.0), stop, chores).run()
    return source, publisher


def ticks(count: int) -> Log:
    log = Log()
    log.add(*(make_tick(START_US + number, sequence=number, size=float(number)) for number in range(count)))
    return log


def stored_offsets(writer: InMemoryWriter) -> list[int]:
    return [offset for _, _, offset in writer.stored]


def test_stores_everything_in_order_and_commits_the_next_offsets() -> None:
    writer = InMemoryWriter()
    log = ticks(10)
    log.add(make_bar(START_US // MINUTE_US * MINUTE_US, 1))

    source, _ = run(log.messages, writer, max_messages=4)

    assert list(writer.stored.values()) == log.messages
    assert writer.batches == [4, 4, 3]
    assert source.committed == {("tick_data", 0): 10, ("aggregated_data_1min", 0): 1}
    assert source.closed
    assert writer.closed


def test_commits_only_what_is_stored() -> None:
    class StopsWriting(InMemoryWriter):
        def write(self, batch: Sequence[Message]) -> None:
            if len(self.stored) >= 4:
                raise RuntimeError("a fault nobody foresaw")
            super().write(batch)

    writer = StopsWriting()
    log = ticks(10)
    source = EndingSource(log.messages, Event())

    with pytest.raises(RuntimeError, match="nobody foresaw"):
        WriterService(source, writer, InMemoryPublisher(), Flush(4, 0.0), Event()).run()

    assert source.committed == {("tick_data", 0): 4}
    assert source.closed


def test_after_a_crash_nothing_is_missing() -> None:
    writer = InMemoryWriter()
    log = ticks(10)
    source, _ = run(log.messages, writer, max_messages=3)
    source.committed = {("tick_data", 0): 4}
    source.restart()
    stop = Event()
    source._stop = stop

    WriterService(source, writer, InMemoryPublisher(), Flush(3, 0.0), stop).run()

    assert list(writer.stored.values()) == log.messages
    assert source.committed == {("tick_data", 0): 10}


def test_waits_for_a_store_that_is_away_with_the_batch_in_hand() -> None:
    writer = FlakyWriter(away=[False, False, True, True, False, False])  # setup, write, write, setup, setup, write
    log = ticks(8)

    source, publisher = run(log.messages, writer, max_messages=4)

    assert list(writer.stored.values()) == log.messages
    assert source.commits == [{("tick_data", 0): 4}, {("tick_data", 0): 8}]
    assert source.held >= 2
    assert writer.setups == 2
    assert publisher.delivered == []


def test_told_to_stop_while_the_store_is_away_commits_nothing() -> None:
    writer = FlakyWriter(away=[False, *[True] * 1_000])

    source, _ = run(ticks(3).messages, writer, holds=3)

    assert source.commits == []
    assert source.closed


def test_told_to_stop_before_the_store_was_ever_there() -> None:
    source, _ = run(ticks(3).messages, FlakyWriter(away=[True] * 1_000), holds=2)

    assert source.commits == []
    assert source.closed


@pytest.mark.parametrize("refused", [0, 1, 6, 12])
@pytest.mark.parametrize("max_messages", [1, 5, 100])
def test_a_message_the_store_refuses_is_set_aside_alone(refused: int, max_messages: int) -> None:
    writer = RefusingWriter(refused_size=float(refused))
    log = ticks(13)

    source, publisher = run(log.messages, writer, max_messages=max_messages)

    assert stored_offsets(writer) == [offset for offset in range(13) if offset != refused]
    assert source.committed == {("tick_data", 0): 13}
    [letter] = map(decode_dead_letter, publisher.values("dead_letter_queue"))
    assert letter.reason is Reason.INVALID_FIELD
    assert letter.raw.encode() == log.messages[refused].value
    assert letter.detail == f"tick_data[0]@{refused}: value out of range"
    assert letter.provider == "memory"
    assert letter.symbol == "IBM"


def test_undecodable_messages_are_set_aside_and_the_rest_is_stored() -> None:
    log = ticks(3)
    log.add_raw("tick_data", "IBM", b"{")
    log.add_raw("aggregated_data_1min", "IBM", b"\xff\x00")
    log.add(make_tick(START_US + 10))
    writer = RefusingWriter()

    source, publisher = run(log.messages, writer)

    assert len(writer.stored) == 4
    assert source.committed == {("tick_data", 0): 5, ("aggregated_data_1min", 0): 1}
    letters = [decode_dead_letter(value) for value in publisher.values("dead_letter_queue")]
    assert [(letter.reason, letter.raw, letter.raw_encoding) for letter in letters] == [
        (Reason.UNDECODABLE, "{", "utf-8"),
        (Reason.UNDECODABLE, "/wA=", "base64"),
    ]


def test_a_batch_of_nothing_but_undecodable_messages_is_committed() -> None:
    log = Log()
    log.add_raw("tick_data", "IBM", b"nonsense")

    source, publisher = run(log.messages, RefusingWriter())

    assert source.committed == {("tick_data", 0): 1}
    assert len(publisher.delivered) == 1


def test_dead_letters_are_with_the_broker_before_the_offsets_are_committed() -> None:
    publisher = InMemoryPublisher()
    publisher.available = False
    log = Log()
    log.add_raw("tick_data", "IBM", b"nonsense")
    source = EndingSource(log.messages, Event())

    with pytest.raises(BusError, match="dead letters"):
        WriterService(source, RefusingWriter(), publisher, Flush(10, 0.0), Event()).run()

    assert source.commits == []


def test_a_refused_commit_only_means_reading_again() -> None:
    class RefusingSource(EndingSource):
        def commit(self, positions: Positions) -> None:
            if not self.commits:
                self.commits.append({})
                raise BusError("rebalancing")
            super().commit(positions)

    writer = InMemoryWriter()
    stop = Event()
    source = RefusingSource(ticks(4).messages, stop)

    WriterService(source, writer, InMemoryPublisher(), Flush(2, 0.0), stop).run()

    assert len(writer.stored) == 4
    assert source.committed == {("tick_data", 0): 4}


def test_a_batch_fills_until_its_time_is_over() -> None:
    class Trickle(EndingSource):
        def poll(self, max_messages: int, timeout_seconds: float) -> Sequence[Message]:
            return super().poll(min(max_messages, 2), timeout_seconds)

    stop = Event()
    source = Trickle(ticks(7).messages, stop)
    writer = InMemoryWriter()

    WriterService(source, writer, InMemoryPublisher(), Flush(5, 60.0), stop).run()

    assert writer.batches == [5, 2]


def chore(run_it: Callable[[], None], every_seconds: float = 3_600.0) -> Chore:
    return Chore("tidy", every_seconds, run_it)


def test_chores_are_done_at_the_start_and_then_when_due() -> None:
    done: list[str] = []
    daily, always = chore(lambda: done.append("daily")), chore(lambda: done.append("always"), every_seconds=0.0)

    run(ticks(3).messages, InMemoryWriter(), max_messages=1, chores=[daily, always])

    assert done.count("daily") == 1
    assert done.count("always") == 4  # after each of three batches, and once idle


def test_a_chore_that_fails_stops_nothing_and_is_not_tried_at_once() -> None:
    tries: list[int] = []

    def fail() -> None:
        tries.append(1)
        raise StoreUnavailableError("busy")

    writer = InMemoryWriter()
    run(ticks(3).messages, writer, max_messages=1, chores=[chore(fail)])

    assert len(writer.stored) == 3
    assert len(tries) == 1
