"""At most the newest of each symbol and channel every so often, by a clock that is turned by hand."""

from collections.abc import Callable
from typing import Any

from listening import make_bar, make_tick
from marketstream.serving.websocket.conflation import Conflation
from marketstream.serving.websocket.updates import Decoder, Update

DECODER = Decoder(())


class Called:
    """A timer that nobody cancels here."""

    def cancel(self) -> None:
        raise AssertionError("cancelled")


class HandTurned:
    """Time that passes only when told; timers run when they are due."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Callable[[], object]]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], object], /) -> Called:
        self.timers.append((when, callback))
        return Called()

    def turn(self, seconds: float) -> None:
        self.now += seconds
        due = [callback for when, callback in self.timers if when <= self.now]
        self.timers = [timer for timer in self.timers if timer[0] > self.now]
        for callback in due:
            callback()


class Held:
    """A conflation of 100 ms and what it let go."""

    def __init__(self) -> None:
        self.loop = HandTurned()
        self.out: list[list[Update]] = []
        self.conflation = Conflation(100, self.out.append, self.loop)

    def tick(self, number: int, symbol: str = "IBM", **changed: Any) -> bool:
        return self.conflation.offer(DECODER.of_tick(make_tick(symbol, number, **changed)))

    def prices(self) -> list[list[int]]:
        return [[int(update.identity[1]) for update in release if update.identity] for release in self.out]


def test_the_first_goes_at_once_and_then_the_newest_once_a_beat() -> None:
    held = Held()
    assert held.tick(0)
    held.loop.turn(0)
    assert held.prices() == [[0]]
    assert [held.tick(number) for number in (1, 2, 3)] == [True, False, False]  # whether it overtook none
    held.loop.turn(0.09)
    assert held.prices() == [[0]]
    held.loop.turn(0.02)
    assert held.prices() == [[0], [3]]
    held.loop.turn(5)
    assert held.prices() == [[0], [3]]  # nothing new, nothing sent


def test_symbols_and_bars_do_not_overtake_each_other() -> None:
    held = Held()
    held.tick(0)
    held.tick(0, "BAC")
    for start, trades in ((0, 1), (0, 2), (1, 1)):
        held.conflation.offer(DECODER.of_bar(make_bar("IBM", start, trades)))
    held.loop.turn(0)
    (release,) = held.out
    assert [update.slot for update in release] == [
        ("ticks", "IBM"),
        ("ticks", "BAC"),
        ("bars", "IBM", "1min", make_bar("IBM", 0, 1).start_us),
        ("bars", "IBM", "1min", make_bar("IBM", 1, 1).start_us),
    ]
    assert release[2].order == DECODER.of_bar(make_bar("IBM", 0, 2)).order


def test_the_latest_price_never_goes_back() -> None:
    held = Held()
    held.tick(10)
    held.loop.turn(0)
    assert not held.tick(9)  # came late
    held.loop.turn(1)
    assert held.prices() == [[10]]


def test_a_trade_that_makes_no_price_is_left_out() -> None:
    held = Held()
    held.tick(1)
    assert not held.tick(2, provider="polygon", conditions=("37",))  # an odd lot
    held.loop.turn(0)
    assert held.prices() == [[1]]
