"""A backfill's order of things: pages, batches, states, and every way to end."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from marketstream.domain.errors import ConfigurationError, Fault, ProviderError
from marketstream.domain.interval import Interval
from marketstream.domain.market import Tick
from marketstream.domain.outcomes import Reason, Rejected
from marketstream.ports import Capabilities, Frame
from marketstream.producers.backfill.request import BackfillRequest, check_possible
from marketstream.producers.backfill.runner import Backfill, Outcome
from marketstream.producers.backfill.sinks import Batch, Settled
from marketstream.producers.backfill.state import Progress, StateFile, SymbolProgress
from marketstream.producers.past_trades import StoppedError
from marketstream.providers.history import NoHistory
from marketstream.testing.fakes import ScriptedProvider

SECOND_US = 1_000_000
REQUEST = BackfillRequest(provider="scripted", symbols=("AAA", "BBB"), start_us=0, end_us=100 * SECOND_US)


class Past(NoHistory):
    """Trades a second apart, five a page; `before_page` may fail or set the stop."""

    def __init__(self) -> None:
        super().__init__("scripted")
        self.before_page: Callable[[str, int], None] = lambda _symbol, _number: None
        self.asked: list[tuple[str, int]] = []
        self.closed = 0

    async def trades_between(self, symbol: str, start_us: int, end_us: int) -> AsyncGenerator[Frame, None]:
        self.asked.append((symbol, start_us))
        first = -(-start_us // SECOND_US)
        for number, second in enumerate(range(first, end_us // SECOND_US + 3, 5)):
            self.before_page(symbol, number)
            await asyncio.sleep(0)
            yield Frame(b"", 0, [tick(symbol, each) for each in range(second, second + 5)])

    async def close(self) -> None:
        self.closed += 1


def tick(symbol: str, second: int) -> Tick:
    return Tick(
        symbol=symbol,
        price=1,
        size=1,
        event_time_us=second * SECOND_US,
        received_time_us=0,
        provider="scripted",
        trade_id=str(second),
    )


@dataclass
class MemorySink:
    """Takes each trade once."""

    taken: list[tuple[str, str]] = field(default_factory=list)
    failure: Exception | None = None

    def put(self, batch: Batch, stopped: Callable[[], bool]) -> Settled:
        if self.failure is not None:
            raise self.failure
        new = [key for each in batch.trades if (key := (each.symbol, each.trade_id)) not in self.taken]
        self.taken += new
        return Settled(len(new), len(batch.trades) - len(new))


@dataclass
class World:
    """What a test can turn."""

    folder: Path
    past: Past = field(default_factory=Past)
    sink: MemorySink = field(default_factory=MemorySink)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.state = StateFile(self.folder, REQUEST)

    async def run(self, *, restart: bool = False) -> Outcome:
        provider = ScriptedProvider([], carried=REQUEST.symbols, past=self.past)
        job = Backfill(REQUEST, provider, self.sink, self.state, lambda: None)
        return await job.run(job.prepare(restart=restart), self.stop)

    def saved(self) -> Progress:
        saved = self.state.load()
        assert saved is not None
        return saved


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def everything() -> list[tuple[str, str]]:
    return [(symbol, str(second)) for symbol in REQUEST.symbols for second in range(100)]


async def test_everything_in_the_range_is_taken_and_nothing_else(world: World) -> None:
    outcome = await world.run()
    assert world.sink.taken == everything()
    assert not outcome.stopped
    assert world.saved() == outcome.progress
    assert {(each.next_us, each.published, each.done) for each in outcome.progress.values()} == {
        (100 * SECOND_US, 100, True)
    }
    assert world.past.closed == 1


async def test_what_is_done_is_not_asked_for_again_unless_told_to(world: World) -> None:
    await world.run()
    world.past.asked.clear()
    await world.run()
    assert not world.past.asked
    outcome = await world.run(restart=True)
    assert world.past.asked == [("AAA", 0), ("BBB", 0)]
    assert {(each.published, each.already_there) for each in outcome.progress.values()} == {(0, 100)}


@pytest.mark.parametrize(
    "failure",
    [
        ProviderError("quota", provider="scripted", fault=Fault.DAILY_QUOTA),
        OSError("network"),
    ],
)
async def test_what_came_before_a_failure_is_kept_and_resumed_from(world: World, failure: Exception) -> None:
    def fail(symbol: str, number: int) -> None:
        if (symbol, number) == ("BBB", 6):
            raise failure

    world.past.before_page = fail
    with pytest.raises(type(failure)):
        await world.run()
    assert world.sink.taken == everything()[:130]
    assert world.saved()["BBB"] == SymbolProgress(29 * SECOND_US, published=30)
    world.past.before_page = lambda _symbol, _number: None
    world.past.asked.clear()
    await world.run()
    assert world.past.asked == [("BBB", 19 * SECOND_US)]  # a little overlaps
    assert world.sink.taken == everything()


async def test_told_to_stop_it_keeps_what_is_in_hand(world: World) -> None:
    def stop(symbol: str, number: int) -> None:
        if (symbol, number) == ("AAA", 4):
            world.stop.set()

    world.past.before_page = stop
    outcome = await world.run()
    assert outcome.stopped
    assert 20 <= len(world.sink.taken) <= 25
    assert world.past.closed == 1
    world.stop.clear()
    world.past.before_page = lambda _symbol, _number: None
    assert not (await world.run()).stopped
    assert world.sink.taken == everything()


async def test_a_page_that_never_comes_does_not_keep_it_from_stopping(world: World) -> None:
    class Hanging(Past):
        async def trades_between(self, symbol: str, start_us: int, end_us: int) -> AsyncGenerator[Frame, None]:
            yield Frame(b"", 0, [tick(symbol, 1)])
            world.stop.set()
            await asyncio.Event().wait()

    world.past = Hanging()
    async with asyncio.timeout(30):
        assert (await world.run()).stopped
    assert world.sink.taken == [("AAA", "1")]


async def test_a_stop_while_waiting_for_the_database_leaves_the_state(world: World) -> None:
    world.sink.failure = StoppedError()
    outcome = await world.run()
    assert outcome.stopped
    assert world.saved() == {symbol: SymbolProgress(0) for symbol in REQUEST.symbols}


async def test_a_symbol_that_is_refused_stops_no_other(world: World) -> None:
    def refuse(symbol: str, _number: int) -> None:
        if symbol == "AAA":
            raise ProviderError("no such symbol", provider="scripted", fault=Fault.UNKNOWN_SYMBOL)

    world.past.before_page = refuse
    outcome = await world.run()
    assert outcome.faults == {"AAA": "no such symbol"}
    assert world.sink.taken == everything()[100:]
    assert (outcome.progress["AAA"].done, outcome.progress["BBB"].done) == (False, True)


def test_a_batch_takes_what_is_wanted() -> None:
    batch = Batch("AAA", 10 * SECOND_US, 20 * SECOND_US)
    refused = Rejected(raw=b"x", reason=Reason.MALFORMED, detail="", provider="scripted", received_time_us=0)
    batch.add(Frame(b"", 0, [tick("AAA", 9), tick("AAA", 15), tick("AAA", 12), refused, tick("BBB", 15)]))
    batch.add(Frame(b"", 0, [tick("AAA", 20)]))
    assert ([each.trade_id for each in batch.trades], len(batch), batch.last_us) == (["15", "12"], 3, 15 * SECOND_US)


def test_a_state_that_can_not_be_read_is_said(tmp_path: Path) -> None:
    state = StateFile(tmp_path, REQUEST)
    assert state.load() is None
    for content in (b"", b"{}", b'{"progress": {}}', b'{"progress": {"AAA": {"next_us": "x"}, "BBB": {}}}', b"[]"):
        state.path.write_bytes(content)
        with pytest.raises(ConfigurationError, match="--restart"):
            state.load()


def test_the_same_backfill_runs_once_at_a_time(tmp_path: Path) -> None:
    with StateFile(tmp_path, REQUEST).held():
        with pytest.raises(ConfigurationError, match="already running"), StateFile(tmp_path, REQUEST).held():
            pass
        other = BackfillRequest(provider="scripted", symbols=("AAA",), start_us=0, end_us=5)
        with StateFile(tmp_path, other).held():
            pass
    with StateFile(tmp_path, REQUEST).held():
        pass


@pytest.mark.parametrize(
    "wrong",
    [
        {"symbols": ()},
        {"start_us": 5, "end_us": 5},
        {"data": "bars"},
        {"interval": Interval.parse("1min")},
    ],
)
def test_a_request_for_nothing_is_refused(wrong: dict[str, object]) -> None:
    fields: dict[str, object] = {"provider": "x", "symbols": ("AAA",), "start_us": 0, "end_us": 9}
    with pytest.raises(ConfigurationError):
        BackfillRequest(**fields | wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("trades", "bars", "data", "said"),
    [
        (False, True, "trades", "use --data bars"),
        (False, False, "trades", "no bars either"),
        (True, False, "bars", "use --data trades"),
        (False, False, "bars", "no trades either"),
    ],
)
def test_what_a_provider_lacks_is_said_with_what_it_has(trades: bool, bars: bool, data: str, said: str) -> None:
    can = Capabilities(channels=frozenset(), asset_classes=frozenset(), past_trades=trades, past_bars=bars)
    interval = Interval.parse("1min") if data == "bars" else None
    request = BackfillRequest(
        provider="x",
        symbols=("AAA",),
        start_us=0,
        end_us=9,
        data=data,  # type: ignore[arg-type]  # as parametrized
        interval=interval,
    )
    with pytest.raises(ProviderError, match=said):
        check_possible(request, ScriptedProvider([], can=can, carried=("AAA",)))


def test_a_symbol_that_is_not_carried_is_said() -> None:
    can = Capabilities(channels=frozenset(), asset_classes=frozenset(), past_trades=True)
    with pytest.raises(ConfigurationError, match="does not carry BBB"):
        check_possible(REQUEST, ScriptedProvider([], can=can, carried=("AAA",)))
