"""Past trades published once: whatever is stored, in the batch twice, or published by somebody who died."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from marketstream.contracts.messages import FETCHED_HEADER, decode_tick
from marketstream.contracts.topics import TICKS
from marketstream.domain.errors import BusError, StoreUnavailableError
from marketstream.domain.market import Tick
from marketstream.producers.past_trades import PastTrades, StoppedError
from marketstream.testing.fakes import InMemoryPublisher

DAY_US = 86_400_000_000


@dataclass
class World:
    """A database that stores what is on the topic when it is waited for."""

    publisher: InMemoryPublisher = field(default_factory=InMemoryPublisher)
    table: set[tuple[str, int, str, str]] = field(default_factory=set)
    behind: bool = False
    lost: bool = False
    events: list[str] = field(default_factory=list)

    def known(self, symbol: str, provider: str, trade_ids: Collection[str], start_us: int, end_us: int) -> set[str]:
        self.events.append("asked")
        return {
            row[3]
            for row in self.table
            if row[0] == symbol and row[2] == provider and row[3] in trade_ids and start_us <= row[1] < end_us
        }

    def stored(self, timeout_seconds: float) -> bool:
        self.events.append("waited")
        if not self.behind:
            ticks = map(decode_tick, self.publisher.values(TICKS))
            self.table |= {(tick.symbol, tick.event_time_us, tick.provider, tick.trade_id) for tick in ticks}
        return not self.behind

    @contextmanager
    def take(self) -> Iterator[Callable[[], None]]:
        self.events.append("taken")

        def confirm() -> None:
            if self.lost:
                raise StoreUnavailableError("the turn is lost")

        yield confirm
        self.events.append("given on")

    def past(self, **options: float) -> PastTrades:
        return PastTrades(self.publisher, self, self.stored, self, **options)

    def published(self) -> list[tuple[str, int]]:
        return [(tick.trade_id, tick.event_time_us) for tick in map(decode_tick, self.publisher.values(TICKS))]


def tick(trade_id: str, time_us: int = 5, **changes: str) -> Tick:
    fields = {"symbol": "IBM", "provider": "polygon", **changes}
    return Tick(price=1, size=1, event_time_us=time_us, received_time_us=5, trade_id=trade_id, **fields)  # type: ignore[arg-type]


def test_only_what_is_missing_is_published() -> None:
    world = World(table={("IBM", 5, "polygon", "1")})
    assert world.past().publish([tick("1"), tick("2"), tick("2"), tick("3")]) == [False, True, False, True]
    assert world.published() == [("2", 5), ("3", 5)]
    assert {tuple(message.headers) for message in world.publisher.delivered} == {(FETCHED_HEADER,)}
    assert world.past().publish([tick("2"), tick("3")]) == [False, False]
    assert len(world.published()) == 2


def test_it_asks_in_its_turn_and_after_what_is_on_the_topic_is_stored() -> None:
    world = World()
    world.past().publish([tick("1")])
    assert world.events == ["taken", "waited", "asked", "given on"]


def test_what_a_process_that_died_had_published_is_known() -> None:
    world = World()
    world.past().publish([tick("1")])  # and it dies before anybody writes down that it did
    assert not world.table
    assert world.past().publish([tick("1"), tick("2")]) == [False, True]


def test_ids_come_again_from_day_to_day_and_elsewhere() -> None:
    world = World(table={("IBM", 5, "polygon", "1")})
    others = [tick("1", DAY_US + 5), tick("1", symbol="GE"), tick("1", provider="fmp")]
    assert world.past().publish([tick("1"), *others]) == [False, True, True, True]


def test_nothing_is_published_while_the_writer_is_behind() -> None:
    world = World(behind=True)
    with pytest.raises(StoreUnavailableError, match="is timescale-writer running"):
        world.past(patience_seconds=0).publish([tick("1")])
    with pytest.raises(StoppedError):
        world.past().publish([tick("1")], stopped=lambda: True)
    assert not world.publisher.delivered


def test_nothing_is_published_once_the_turn_is_lost() -> None:
    world = World(lost=True)
    with pytest.raises(StoreUnavailableError, match="turn is lost"):
        world.past().publish([tick("1")])
    assert not world.publisher.delivered


def test_it_does_not_return_before_the_broker_has_everything() -> None:
    world = World()
    past = world.past()
    world.publisher.available = False
    with pytest.raises(BusError, match="not acknowledged 1"):
        past.publish([tick("1")])
    world.publisher.available = True
    assert past.publish([tick("1")]) == [False]  # it was on its way, and is there now
    assert world.published() == [("1", 5)]


def test_a_full_queue_is_waited_for() -> None:
    world = World(publisher=InMemoryPublisher(queue_messages=1))
    assert world.past().publish([tick(str(number)) for number in range(50)]) == [True] * 50


def test_what_would_be_published_can_be_told_before() -> None:
    world = World(table={("IBM", 5, "polygon", "1")})
    assert world.past().missing([tick("1"), tick("2"), tick("2")]) == [False, True, False]
    assert world.events == ["asked"]
    assert world.past().publish([]) == []
