"""Snapshot and updates together are the stream: no hole and no double, however stream, stores and clients interleave.

Stores are ahead of the stream or behind it, answers come late, connections are lost with what was under way and
resumed, clients stop reading for a while; each client's state is then held against the stream itself.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from listening import LATE_US, SINCE_US, FakeLink, World, make_bar, make_tick
from marketstream.contracts.messages import encode
from marketstream.domain.market import Bar, Tick
from marketstream.serving.websocket.book import KEPT
from marketstream.serving.websocket.protocol import Resume, Subscribe
from marketstream.settings import WebSocketSettings
from marketstream.testing.fake_readers import InMemoryMarketReader
from marketstream.testing.fakes import FakeClock

T = TypeVar("T")
SYMBOLS = ("BTCUSDT", "ETHUSDT")
PAST = 3  # ticks, and versions of a bar, from before the stream began; the stores have them
Item = Tick | Bar


class GatedReader(InMemoryMarketReader):
    """A store that answers only when it may, with what it held when it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()

    def latest(self, symbol: str) -> Tick | None:
        return self._late(super().latest(symbol))

    def ticks(self, symbol: str, **query: Any) -> list[Tick]:
        return self._late(super().ticks(symbol, **query))

    def bars(self, symbol: str, interval: Any, **query: Any) -> list[Bar]:
        return self._late(super().bars(symbol, interval, **query))

    def _late(self, answer: T) -> T:
        assert self.open.wait(20)
        return answer


class Client(FakeLink):
    """One connection of a client; what it heard may be cut off at its end, as when a connection is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.session: Any = None
        self.principal = None


@dataclass
class Person:
    """A client over its connections: what it heard in all, and when it subscribed."""

    client: Client
    history: int
    heard: list[dict[str, Any]] = field(default_factory=list)
    taken: int | None = None  # how much of the stream the hub had taken when it was subscribed
    task: "asyncio.Task[None] | None" = None


class Play:
    """A stream, two stores that follow it, a hub that follows it, and clients."""

    def __init__(self, stream: Sequence[Item]) -> None:
        bounds = WebSocketSettings(queue_updates=100_000, replay_updates=100_000)
        self.reader = GatedReader()
        clock = FakeClock(SINCE_US)
        self.world = World(bounds, clock=clock, symbols=SYMBOLS, cache=self.reader, history=self.reader)
        self.stream = stream
        self.past = [make_tick(symbol, -number) for symbol in SYMBOLS for number in range(PAST, 0, -1)]
        self.past += [make_bar(symbol, -2, trades) for symbol in SYMBOLS for trades in range(1, PAST)]
        self.reader.add(*self.past)
        self.stored = self.taken = 0
        self.people: list[Person] = []

    def store(self, count: int) -> None:
        self.reader.add(*self.stream[self.stored : self.stored + count])
        self.stored = min(len(self.stream), self.stored + count)

    def take(self, count: int) -> None:
        self.world.feed(*self.stream[self.taken : self.taken + count])
        self.taken = min(len(self.stream), self.taken + count)

    async def subscribe(self, history: int) -> None:
        person = Person(Client(), history)
        person.client.session = self.world.hub.open("open", asyncio.get_running_loop())
        person.client.session.attach(person.client)
        self.people.append(person)
        person.task = asyncio.create_task(self._subscribe(person))
        await asyncio.sleep(0)

    async def _subscribe(self, person: Person) -> None:
        asked = Subscribe(
            type="subscribe", symbols=list(SYMBOLS), channels=["ticks", "bars"], history=person.history, id="s"
        )
        await self.world.service.subscribe(person.client, asked)  # type: ignore[arg-type]  # a connection in memory
        person.taken = self.taken

    async def answer(self) -> None:
        """Lets the stores answer, and everybody have their snapshots."""
        self.reader.open.set()
        await asyncio.gather(*(person.task for person in self.people if person.task))
        self.reader.open.clear()

    def lose(self, person: Person, unheard: int) -> None:
        """The connection breaks, and what came last is lost; then it is resumed from what was heard."""
        if person.taken is None:
            return
        old = person.client
        kept = old.heard[: max(0, len(old.heard) - unheard)] if "snapshot" in kinds(person) else old.heard
        # Before its snapshot a client has nothing to go on from, and would subscribe again.
        if not any(message["type"] == "snapshot" for message in (*person.heard, *kept)):
            kept = old.heard
        person.heard += kept
        session = old.session
        session.detach(old)
        person.client = Client()
        person.client.session = self.world.hub.open("open", asyncio.get_running_loop())
        person.client.session.attach(person.client)
        seq = max((message["seq"] for message in person.heard if numbered(message)), default=0)
        asked = Resume(type="resume", session=session.id, seq=seq)
        self.world.service.resume(person.client, asked)  # type: ignore[arg-type]  # a connection in memory
        assert person.client.heard[0]["type"] == "resumed"

    def end(self) -> None:
        self.take(len(self.stream))
        for person in self.people:
            person.client.blocked = False
            person.client.session.flush()
            person.heard += person.client.heard

    def check(self) -> None:
        for person in self.people:
            check_numbers(person)
            for symbol in SYMBOLS:
                check_ticks(self, person, symbol)
                check_bars(self, person, symbol)


def numbered(message: dict[str, Any]) -> bool:
    return message["type"] in ("updates", "snapshot")


def kinds(person: Person) -> set[str]:
    return {message["type"] for message in (*person.heard, *person.client.heard)}


def check_numbers(person: Person) -> None:
    last = 0
    for message in filter(numbered, person.heard):
        size = len(message["updates"]) if message["type"] == "updates" else 1
        assert message["seq"] - size == last, "a number is missing, or came twice"
        last = message["seq"]


def data_of(person: Person, kind: str, channel: str, symbol: str) -> list[Any]:
    return [
        update["data"]
        for message in person.heard
        if message["type"] == kind
        for update in message["updates"]
        if (update["channel"], update["symbol"]) == (channel, symbol)
    ]


def check_ticks(play: Play, person: Person, symbol: str) -> None:
    """Exactly the stream after the moment of the snapshot, which has the newest until then."""
    ticks = [item for item in play.stream if isinstance(item, Tick) and item.symbol == symbol]
    before = [item for item in play.stream[: person.taken] if isinstance(item, Tick) and item.symbol == symbol]
    assert data_of(person, "updates", "ticks", symbol) == list(map(plain, ticks[len(before) :]))
    past = [item for item in play.past if isinstance(item, Tick) and item.symbol == symbol]
    newest = sorted(past + before[-KEPT:], key=lambda tick: tick.order)[-person.history :]
    if person.history == 1:  # of all that came, not only of what is kept
        newest = [max(past + before, key=lambda tick: tick.order)]
    snapshot = data_of(person, "snapshot", "ticks", symbol)
    # Stores that are ahead of the stream and asked for one trade tell of none before: the stream will bring it.
    ahead = person.history == 1 and not before and len(ticks) > len(before)
    assert snapshot == list(map(plain, newest)) or (ahead and snapshot == [])


def check_bars(play: Play, person: Person, symbol: str) -> None:
    """Whoever always believes the newest message has the newest version of each bar."""
    newest: dict[int, Bar] = {}
    for item in (*play.past, *play.stream):
        if isinstance(item, Bar) and item.symbol == symbol:
            newest[item.start_us] = max(newest.get(item.start_us, item), item, key=lambda bar: bar.version)
    state: dict[int, Any] = {}
    for kind in ("snapshot", "updates"):
        for bar in data_of(person, kind, "bars", symbol):
            state[bar["start_us"]] = bar
    bars = [item for item in (*play.past, *play.stream[: person.taken]) if isinstance(item, Bar)]
    known = [bar for bar in bars if bar.symbol == symbol]
    must = {start_us for start_us, bar in newest.items() if bar.version not in {one.version for one in known}}
    assert must <= state.keys()
    assert state == {start_us: plain(newest[start_us]) for start_us in state}


def plain(item: Item) -> Any:
    return orjson.loads(encode(item))


@st.composite
def streams(draw: st.DrawFn) -> list[Item]:
    """Trades, some a little late, and bars, with older versions again as after a crash of Spark's."""
    stream: list[Item] = []
    trades = dict.fromkeys([(symbol, start) for symbol in SYMBOLS for start in (-1, 0, 1)], 0)
    received: dict[tuple[str, int, int], int] = {}  # the same version of a bar is the same bar
    for number in range(draw(st.integers(1, 40))):
        symbol = draw(st.sampled_from(SYMBOLS))
        if draw(st.booleans()):
            late_us = draw(st.sampled_from((0, 0, 0, 3_000, LATE_US // 2)))
            stream.append(make_tick(symbol, number, event_us=SINCE_US + number * 1_000 - late_us))
        else:
            start = draw(st.sampled_from((-1, 0, 1)))
            trades[symbol, start] += draw(st.integers(0, 3))
            again = draw(st.integers(0, 2))
            count = max(1, trades[symbol, start] - again)
            received_us = received.setdefault((symbol, start, count), SINCE_US + number * 1_000)
            stream.append(make_bar(symbol, start, count, last_received_time_us=received_us))
            trades[symbol, start] = max(trades[symbol, start], count)
    return stream


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("store"), st.integers(1, 10)),
        st.tuples(st.just("take"), st.integers(1, 10)),
        st.tuples(st.just("subscribe"), st.sampled_from((1, 1, 3, KEPT))),
        st.tuples(st.just("answer"), st.just(0)),
        st.tuples(st.just("block"), st.integers(0, 3)),
        st.tuples(st.just("read"), st.integers(0, 3)),
        st.tuples(st.just("lose"), st.integers(0, 3)),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=60)
@given(streams(), STEPS)
def test_snapshot_and_updates_are_the_stream(stream: list[Item], steps: list[tuple[str, int]]) -> None:
    asyncio.run(_played(stream, steps))


async def _played(stream: list[Item], steps: list[tuple[str, int]]) -> None:
    play = Play(stream)
    acts: dict[str, Callable[[int], object]] = {"store": play.store, "take": play.take}
    try:
        for step, number in steps:
            if step in acts:
                acts[step](number)
            elif step == "subscribe" and len(play.people) < 4:
                await play.subscribe(number)
            elif step == "answer":
                await play.answer()
            elif play.people:
                person = play.people[number % len(play.people)]
                if step == "lose":
                    play.lose(person, number)
                else:
                    person.client.blocked = step == "block"
                    person.client.session.flush()
        await play.answer()
        play.end()
        play.check()
    finally:
        play.reader.open.set()
        play.world.loader.close()
