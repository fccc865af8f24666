"""What is missing is found, exactly; what has come before is known again; two providers of one trade count once."""

import random
from dataclasses import replace

from marketstream.domain.market import Tick
from marketstream.producers.continuity import Continuity, Place

START_US = 1_700_000_000_000_000
MS = 1_000


def tick(number: int, *, provider: str = "binance", time_ms: int | None = None, price: float = 1.0) -> Tick:
    return Tick(
        symbol="BTCUSDT",
        price=price,
        size=1.0,
        event_time_us=START_US + (number if time_ms is None else time_ms) * MS,
        received_time_us=START_US,
        provider=provider,
        trade_id=str(number),
        sequence=number,
    )


def numbered() -> Continuity:
    return Continuity({"binance"})


def test_consecutive_numbers_leave_no_hole() -> None:
    continuity = numbered()
    assert [continuity.place(tick(number)) for number in range(5, 100)] == [Place.NEXT] * 95
    assert continuity.new_holes() == []


def test_a_jump_is_a_hole_with_its_numbers_and_times() -> None:
    continuity = numbered()
    continuity.place(tick(5))
    continuity.place(tick(9))
    (hole,) = continuity.new_holes()
    assert (hole.ranges, hole.missing, hole.before, hole.after) == ([(6, 8)], 3, tick(5).order, tick(9).order)
    assert continuity.new_holes() == []


def test_disorder_fills_its_own_hole_and_a_repetition_is_seen() -> None:
    continuity = numbered()
    places = [continuity.place(tick(number)) for number in (1, 4, 3, 2, 3, 4, 5)]
    assert places == [*[Place.NEXT] * 2, *[Place.MISSING] * 2, *[Place.SEEN] * 2, Place.NEXT]
    (hole,) = continuity.new_holes()
    assert (hole.missing, hole.filled) == (0, 2)


def test_of_numbers_below_the_first_nothing_is_known() -> None:
    continuity = numbered()
    continuity.place(tick(10))
    assert continuity.place(tick(9)) is Place.NEXT


def test_a_provider_that_counts_anew_is_believed() -> None:
    continuity = numbered()
    continuity.place(tick(1_000, time_ms=0))
    assert continuity.place(tick(1, time_ms=5_000)) is Place.NEXT
    assert continuity.place(tick(2, time_ms=5_001)) is Place.NEXT
    (hole,) = continuity.new_holes()
    assert hole.missing is None


def test_any_disorder_loss_and_repetition_is_accounted_for_exactly() -> None:
    chance = random.Random(5)
    for _ in range(200):
        numbers = [number for number in range(1, 200) if number == 1 or chance.random() < 0.9]
        order = sorted(numbers, key=lambda number: number + chance.random() * 8 * (number > 1))
        stream = [number for number in order for _ in range(1 + (chance.random() < 0.1))]
        continuity = numbered()
        accepted = [number for number in stream if continuity.place(tick(number)) is not Place.SEEN]
        assert sorted(accepted) == numbers
        last = max(numbers)
        missing = {
            number
            for hole in continuity.new_holes()
            for first, end in hole.ranges or []
            for number in range(first, end + 1)
        }
        assert missing == set(range(1, last)) - set(numbers)


def test_without_numbers_only_a_new_session_is_doubtful() -> None:
    continuity = Continuity()
    continuity.place(tick(1, provider="polygon"))
    continuity.place(tick(7, provider="polygon"))
    assert continuity.new_holes() == []
    continuity.session_started("polygon")
    continuity.place(tick(12, provider="polygon"))
    (hole,) = continuity.new_holes()
    assert (hole.ranges, hole.missing) == (None, None)
    inside = [number for number in range(1, 20) if hole.take(tick(number, provider="polygon"))]
    assert inside == [8, 9, 10, 11]
    assert not hole.take(tick(9, provider="polygon"))


def test_the_session_of_another_provider_raises_no_doubt() -> None:
    continuity = Continuity()
    continuity.place(tick(1, provider="polygon"))
    continuity.session_started("fmp")
    continuity.place(tick(2, provider="polygon"))
    assert continuity.new_holes() == []


def test_where_two_providers_overlap_each_trade_counts_once_and_nothing_is_missing() -> None:
    continuity = numbered()
    for number in range(1, 11):
        continuity.place(tick(number, price=number))
    other = [tick(500 + number, provider="polygon", time_ms=number, price=number) for number in range(8, 15)]
    assert [continuity.place(each) for each in other] == [*[Place.SEEN] * 3, *[Place.NEXT] * 4]
    assert continuity.new_holes() == []


def test_of_the_last_millisecond_only_what_the_other_had_not_said_counts() -> None:
    continuity = numbered()
    continuity.place(tick(1, time_ms=0))
    for number, price in ((2, 5.0), (3, 5.0), (4, 6.0)):
        continuity.place(tick(number, time_ms=10, price=price))
    others = [
        tick(90 + number, provider="fmp", time_ms=10, price=price)
        for number, price in enumerate((5.0, 5.0, 5.0, 6.0, 7.0))
    ]
    places = [continuity.place(each) for each in others]
    assert places == [Place.SEEN, Place.SEEN, Place.NEXT, Place.SEEN, Place.NEXT]


def test_a_successor_without_overlap_leaves_a_hole_in_time() -> None:
    continuity = numbered()
    continuity.place(tick(1, price=3.0))
    continuity.place(tick(40, provider="polygon", time_ms=20))
    (hole,) = continuity.new_holes()
    assert (hole.provider, hole.missing) == ("polygon", None)
    assert not hole.take(tick(7, provider="polygon", time_ms=1, price=3.0))  # the one that was taken from the other
    assert not hole.take(tick(7, provider="polygon", time_ms=1, price=3.0))
    assert hole.take(tick(8, provider="polygon", time_ms=1, price=4.0))
    assert hole.take(tick(9, provider="polygon", time_ms=15))
    assert not hole.take(tick(41, provider="polygon", time_ms=20 + 1))


def test_back_at_the_numbered_one_its_numbers_count_from_there() -> None:
    continuity = numbered()
    continuity.place(tick(1))
    continuity.place(tick(1, provider="polygon", time_ms=1))
    continuity.place(tick(2, provider="polygon", time_ms=50))
    continuity.new_holes()
    continuity.place(tick(51, time_ms=50))
    assert continuity.place(tick(52, time_ms=51)) is Place.NEXT
    assert continuity.place(tick(53, time_ms=52)) is Place.NEXT
    assert continuity.new_holes() == []


def test_a_restart_finds_what_the_crash_left_missing() -> None:
    continuity = numbered()
    live = [tick(number) for number in (10, 11, 14, 15, 18)]
    continuity.restore(live, [tick(12), tick(16)])
    assert sorted(span for hole in continuity.new_holes() for span in hole.ranges or []) == [(13, 13), (17, 17)]
    assert continuity.place(tick(20)) is Place.NEXT
    assert [hole.ranges for hole in continuity.new_holes()] == [[(19, 19)]]
    assert continuity.place(tick(15)) is Place.SEEN


def test_what_is_settled_is_not_missed_again() -> None:
    continuity = numbered()
    continuity.restore([tick(10), tick(20)], [])
    continuity.settle("binance", "BTCUSDT", 12, 14)
    assert [hole.ranges for hole in continuity.new_holes()] == [[(11, 11), (15, 19)]]


def test_another_symbols_trades_are_another_matter() -> None:
    continuity = numbered()
    continuity.place(tick(1))
    assert continuity.place(replace(tick(7), symbol="ETHUSDT")) is Place.NEXT
    assert continuity.new_holes() == []


def test_of_a_border_told_by_one_provider_another_is_asked_by_content() -> None:
    continuity = Continuity()
    continuity.place(tick(1, provider="polygon", price=3.0))
    continuity.place(tick(5, provider="fmp", time_ms=9, price=4.0))
    continuity.place(tick(6, provider="fmp", time_ms=9, price=5.0))
    (hole,) = continuity.new_holes()
    hole.ask("polygon")
    wanted = [(1, 1, 3.0), (2, 1, 3.5), (3, 4, 4.0), (4, 9, 4.0), (5, 9, 5.0), (6, 9, 6.0), (7, 10, 4.0)]
    missing = [
        number
        for number, time_ms, price in wanted
        if hole.take(tick(number, provider="polygon", time_ms=time_ms, price=price))
    ]
    assert missing == [2, 3, 6]


def test_a_providers_own_border_is_told_by_its_sequence() -> None:
    continuity = Continuity()
    continuity.place(tick(1, provider="polygon", time_ms=0))
    continuity.session_started("polygon")
    continuity.place(tick(9, provider="polygon", time_ms=5))
    (hole,) = continuity.new_holes()
    assert hole.take(tick(2, provider="polygon", time_ms=0))  # the same price and size in the same millisecond
    assert not hole.take(tick(1, provider="polygon", time_ms=0))
