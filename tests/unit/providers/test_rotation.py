"""One connection after the other: overlap, failures on either side, haste without storms, and nothing left behind."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import pytest

from marketstream.domain.errors import Fault, ProviderError
from marketstream.ports import Frame
from marketstream.providers import rotation
from marketstream.providers.rotation import EXPIRING, Expiring, rotated

LONG = 60.0
Order = str | Expiring | Exception | None


def frame(name: str) -> Frame:
    return Frame(name.encode(), 0, ())


class Connection:
    """A connection that does what it is told: text is a frame, an error fails it, None ends it."""

    def __init__(self) -> None:
        self.orders: asyncio.Queue[Order] = asyncio.Queue()
        self.closed = False

    def tell(self, *orders: Order) -> None:
        for order in orders:
            self.orders.put_nowait(order)

    async def frames(self) -> AsyncGenerator[Frame | Expiring, None]:
        try:
            while (order := await self.orders.get()) is not None:
                if isinstance(order, Exception):
                    raise order
                yield order if isinstance(order, Expiring) else frame(order)
        finally:
            await asyncio.sleep(0)  # closing takes a moment, as a handshake does
            self.closed = True


class Stand:
    """Opens connections and reads the rotated stream in the background.

    Args:
        scripts: What the first connections do as soon as they are open.
    """

    def __init__(self, *scripts: tuple[Order, ...], after: float = LONG, overlap: float = LONG) -> None:
        self.connections: list[Connection] = []
        self.heard: list[str] = []
        self.error: Exception | None = None
        self._scripts = list(scripts)
        self._stream = rotated(self._connect, after_seconds=after, overlap_seconds=overlap)
        self.task = asyncio.create_task(self._read())

    def _connect(self) -> AsyncGenerator[Frame | Expiring, None]:
        connection = Connection()
        if self._scripts:
            connection.tell(*self._scripts.pop(0))
        self.connections.append(connection)
        return connection.frames()

    async def _read(self) -> None:
        try:
            async with aclosing(self._stream) as frames:
                async for each in frames:
                    self.heard.append(each.raw.decode())
        except (ProviderError, OSError) as error:
            self.error = error

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110  # what is waited for is plain state, which has no event
                await asyncio.sleep(0.001)

    async def opened(self, count: int) -> None:
        await self.until(lambda: len(self.connections) >= count)

    async def heard_all(self, *names: str) -> None:
        await self.until(lambda: len(self.heard) >= len(names))
        assert self.heard == list(names)

    async def ended(self) -> None:
        async with asyncio.timeout(10):
            await self.task
        assert_nothing_runs()

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        assert_nothing_runs()
        assert all(connection.closed for connection in self.connections)


def assert_nothing_runs() -> None:
    assert asyncio.all_tasks() == {asyncio.current_task()}


def lost(reason: str = "lost", **more: float) -> ProviderError:
    return ProviderError(reason, provider="test", fault=Fault.NETWORK, **more)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "_RETRY_SECONDS", (0.02, 0.08))


async def test_frames_pass_in_order_until_the_connection_ends() -> None:
    names = [str(number) for number in range(300)]
    stand = Stand((*names, None))
    await stand.ended()
    assert (stand.heard, stand.error, len(stand.connections)) == (names, None, 1)


async def test_the_error_of_the_only_connection_is_raised() -> None:
    stand = Stand(("a", lost("gone")))
    await stand.ended()
    assert stand.heard == ["a"]
    assert str(stand.error) == "gone"


async def test_a_connection_is_replaced_at_its_age_even_if_nothing_comes() -> None:
    stand = Stand(after=0.02, overlap=0.0)
    await stand.opened(2)
    await stand.stop()


async def test_both_deliver_until_the_overlap_is_over() -> None:
    stand = Stand(("a", EXPIRING), overlap=0.03)
    await stand.opened(2)
    old, new = stand.connections
    old.tell("b")
    await stand.heard_all("a", "b")
    new.tell("b")
    await stand.heard_all("a", "b", "b")
    old.tell("c")
    await stand.heard_all("a", "b", "b", "c")
    assert not old.closed
    await stand.until(lambda: old.closed)
    new.tell("d")
    await stand.heard_all("a", "b", "b", "c", "d")
    assert len(stand.connections) == 2
    await stand.stop()


async def test_the_old_one_stays_for_as_long_as_the_new_one_is_silent() -> None:
    stand = Stand(("a", EXPIRING), overlap=0.0)
    await stand.opened(2)
    old, new = stand.connections
    for number in range(20):
        old.tell(str(number))
        await stand.until(lambda number=number: stand.heard[-1] == str(number))
    assert not old.closed
    new.tell("x")
    await stand.until(lambda: old.closed)
    await stand.stop()


@pytest.mark.parametrize("end", [None, lost()])
async def test_a_connection_that_ends_right_after_its_notice_is_replaced(end: Order) -> None:
    stand = Stand(("a", EXPIRING, end), ("b", None))
    await stand.ended()
    assert (stand.heard, stand.error) == (["a", "b"], None)


@pytest.mark.parametrize("end", [None, lost()])
async def test_the_old_one_may_die_before_the_new_one_delivers(end: Order) -> None:
    stand = Stand(("a", EXPIRING))
    await stand.opened(2)
    old, new = stand.connections
    old.tell(end)
    await stand.until(lambda: old.closed)
    new.tell("b", None)
    await stand.ended()
    assert (stand.heard, stand.error) == (["a", "b"], None)


async def test_the_old_one_may_die_during_the_overlap() -> None:
    stand = Stand(("a", EXPIRING), ("b",))
    await stand.heard_all("a", "b")
    stand.connections[0].tell(lost())
    await stand.until(lambda: stand.connections[0].closed)
    stand.connections[1].tell("c", None)
    await stand.ended()
    assert (stand.heard, stand.error) == (["a", "b", "c"], None)


@pytest.mark.parametrize("failure", [None, lost()])
async def test_a_replacement_that_fails_is_tried_again_while_the_old_one_goes_on(failure: Order) -> None:
    stand = Stand(("a", EXPIRING), (failure,), (failure,))
    await stand.opened(4)
    stand.connections[0].tell("b")
    await stand.heard_all("a", "b")
    stand.connections[3].tell("c", None)
    await stand.until(lambda: "c" in stand.heard)
    assert stand.error is None
    await stand.stop()


async def test_the_old_ones_error_is_raised_if_no_replacement_could_be_opened() -> None:
    stand = Stand(("a", EXPIRING), (lost("no replacement", retry_after_seconds=LONG),))
    await stand.opened(2)
    await stand.until(lambda: stand.connections[1].closed)
    await asyncio.sleep(0)
    stand.connections[0].tell(lost("the old one too"))
    await stand.ended()
    assert str(stand.error) == "the old one too"
    assert len(stand.connections) == 2


async def test_a_replacement_waits_for_as_long_as_the_provider_asks() -> None:
    stand = Stand((EXPIRING,), (lost("wait", retry_after_seconds=0.2),))
    await stand.opened(2)
    failed_at = asyncio.get_running_loop().time()
    await stand.opened(3)
    assert asyncio.get_running_loop().time() - failed_at >= 0.15
    await stand.stop()


async def test_the_replacements_error_is_raised_if_the_old_one_has_gone_already() -> None:
    stand = Stand((EXPIRING,))
    await stand.opened(2)
    stand.connections[0].tell(None)
    await stand.until(lambda: stand.connections[0].closed)
    stand.connections[1].tell(lost("the new one"))
    await stand.ended()
    assert str(stand.error) == "the new one"


async def test_a_notice_said_again_while_a_replacement_is_on_its_way_changes_nothing() -> None:
    stand = Stand((EXPIRING, EXPIRING, EXPIRING))
    await stand.opened(2)
    stand.connections[0].tell(EXPIRING, "a")
    await stand.heard_all("a")
    assert len(stand.connections) == 2
    await stand.stop()


async def test_a_provider_that_ends_each_connection_at_once_is_not_stormed() -> None:
    stand = Stand(*[(EXPIRING, EXPIRING)] * 50)
    started = asyncio.get_running_loop().time()
    await stand.opened(5)
    # At once, then after 0.02, 0.04 and 0.08 s.
    assert asyncio.get_running_loop().time() - started >= 0.1
    await stand.stop()


async def test_silent_replacements_do_not_pile_up() -> None:
    stand = Stand(after=0.01, overlap=0.0)
    await stand.opened(8)
    assert sum(not connection.closed for connection in stand.connections) <= 3
    assert not stand.connections[0].closed
    await stand.stop()


async def test_closing_the_stream_closes_every_connection() -> None:
    made: list[Connection] = []

    def connect() -> AsyncGenerator[Frame | Expiring, None]:
        made.append(Connection())
        made[-1].tell("a", EXPIRING)
        return made[-1].frames()

    stream = rotated(connect, after_seconds=LONG)
    async with aclosing(stream) as frames, asyncio.timeout(10):
        async for _ in frames:
            if len(made) > 1:
                break
    assert len(made) > 1
    assert all(connection.closed for connection in made)
    assert_nothing_runs()


async def test_a_slow_reader_slows_the_connection_down() -> None:
    connection = Connection()
    connection.tell(*map(str, range(1_000)))
    stream = rotated(connection.frames, after_seconds=LONG)
    async with aclosing(stream) as frames:
        await anext(frames)
        for _ in range(10):
            await asyncio.sleep(0)
        assert connection.orders.qsize() > 900
    assert_nothing_runs()


async def test_the_next_connection_has_its_own_age() -> None:
    stand = Stand(after=0.02, overlap=0.0)
    for count in range(1, 5):
        await stand.opened(count)
        stand.connections[count - 1].tell(str(count))
    await stand.until(lambda: len(stand.heard) == 4)
    await stand.until(lambda: all(connection.closed for connection in stand.connections[:3]))
    await stand.stop()
