"""When a bar is final, and which revision it gets."""

import sys
from dataclasses import replace

import pytest

from closing import SECOND_US, START_US, provisional, trade
from marketstream.contracts.messages import encode
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick
from marketstream.streaming.closing import BarCloser
from marketstream.streaming.closing_rules import ClosingRules
from marketstream.streaming.closing_state import Closed, Symbol

MINUTE = Interval.parse("1min")
QUARTER = Interval.parse("15min")
LATENESS, GRACE, SETTLE = 10.0, 1.0, 0.1
RULES = ClosingRules(LATENESS, GRACE, SETTLE)
SOON = 0.01
TRANSIT_US = 20_000  # how much later a trade is received than it happens, as `trade` has it
LIVE_US = START_US + 90 * SECOND_US  # the wall clock while the first minute's end is 30 s past


class Remembered(dict[tuple[str, str, int], Closed]):
    """Closed bars in a dictionary."""

    def put(self, key: tuple[str, str, int], closed: Closed) -> None:
        self[key] = closed


class Street:
    """A closer with a clock, and with Spark before it."""

    def __init__(self, *intervals: Interval) -> None:
        self.intervals = intervals or (MINUTE,)
        self.remembered = Remembered()
        self.rules = replace(RULES, intervals=self.intervals)
        self.closer = BarCloser(self.rules, self.remembered)
        self.now = 1_000.0
        self.trades: dict[str, list[Tick]] = {}

    def trade(
        self, second: float, symbol: str = "IBM", *, reaches_spark: bool = True, delay_us: int = TRANSIT_US
    ) -> None:
        """A trade so many seconds after the start, and its bars."""
        own = self.trades.setdefault(symbol, [])
        at_us = START_US + round(second * SECOND_US)
        own.append(trade(symbol, at_us, len(own), received_us=at_us + delay_us))
        self.closer.take_tick(symbol, encode(own[-1]), self.now)
        if reaches_spark:
            self.publish(symbol)

    def publish(self, symbol: str = "IBM") -> None:
        for interval in self.intervals:
            self.closer.take_bar(encode(provisional(self.trades[symbol], interval)[-1]), self.now)

    def due(self, after: float = 0.0) -> list[Bar]:
        self.now += after
        return [final.bar for final in self.closer.due(self.now)]

    def idle(self, after: float = 0.0, now_us: int = LIVE_US) -> list[Bar]:
        self.now += after
        return [final.bar for final in self.closer.idle(self.now, now_us)]

    def closed(self) -> list[Bar]:
        """What is final once all that may still come at once has come."""
        return self.due() + self.due(SETTLE + SOON)


def said(bars: list[Bar]) -> list[tuple[str, str, int, int, int]]:
    """(symbol, interval, seconds after the start, trades, revision) of finals."""
    assert all(bar.final for bar in bars)
    return [
        (bar.symbol, bar.interval, (bar.start_us - START_US) // SECOND_US, bar.trade_count, bar.revision)
        for bar in bars
    ]


def test_a_bar_is_final_once_its_symbol_has_passed_its_end_and_the_lateness() -> None:
    street = Street()
    street.trade(5)
    street.trade(59.9)
    street.trade(69.999999)
    assert street.closed() == []
    street.trade(70)
    (final,) = street.closed()
    assert said([final]) == [("IBM", "1min", 0, 2, 0)]
    (expected,) = provisional(street.trades["IBM"][:2], MINUTE)[1:]
    assert replace(final, final=False) == expected
    assert street.closed() == []


def test_a_trade_in_time_is_in_the_bar() -> None:
    street = Street()
    street.trade(5)
    street.trade(69.9)
    street.trade(59.9)
    street.trade(75)
    assert said(street.closed()) == [("IBM", "1min", 0, 2, 0)]


def test_rows_under_way_are_waited_for() -> None:
    street = Street()
    street.trade(5)
    street.trade(59.9, reaches_spark=False)
    first, second = provisional(street.trades["IBM"], MINUTE)
    street.closer.take_bar(encode(provisional([*street.trades["IBM"], trade("IBM", START_US + 75 * SECOND_US, 2)],
                                              MINUTE)[-1]), street.now)  # fmt: skip
    assert first.trade_count == 1
    assert street.due() == []
    assert street.due(SETTLE / 2) == []
    street.closer.take_bar(encode(second), street.now)
    assert said(street.due(SETTLE + SOON)) == [("IBM", "1min", 0, 2, 0)]


def test_another_symbol_s_time_closes_nothing() -> None:
    street = Street()
    street.trade(5, "IBM")
    street.trade(500, "BAC")
    assert street.closed() == []


def test_all_intervals_are_closed_each_in_its_time() -> None:
    street = Street(MINUTE, QUARTER)
    street.trade(5)
    street.trade(70)
    assert said(street.closed()) == [("IBM", "1min", 0, 1, 0)]
    street.trade(910)
    assert sorted(said(street.closed())) == [("IBM", "15min", 0, 2, 0), ("IBM", "1min", 60, 1, 0)]


def test_bars_past_at_once_come_in_order() -> None:
    street = Street()
    for minute in (3, 1, 2, 0):
        street.trade(minute * 60 + 5)
    street.trade(400)
    assert street.due(GRACE + SOON) + street.due(GRACE + SOON)
    assert [key[2] for key in street.remembered] == [START_US + minute * 60 * SECOND_US for minute in (0, 1, 2, 3)]


def test_a_silent_symbol_s_bars_are_final_after_lateness_and_grace() -> None:
    street = Street()
    street.trade(5)
    street.trade(500, "BAC")
    assert street.idle(LATENESS + GRACE - SOON) == []
    street.trade(501, "BAC")
    assert said(street.idle(2 * SOON)) == [("IBM", "1min", 0, 1, 0)]
    assert street.idle(SOON) == []


def test_a_bar_is_not_idle_before_its_end_by_the_wall_clock() -> None:
    street = Street(MINUTE, QUARTER)
    street.trade(5)
    assert said(street.idle(LATENESS + GRACE + SOON)) == [("IBM", "1min", 0, 1, 0)]
    later_us = START_US + 900 * SECOND_US + TRANSIT_US
    assert street.idle(SOON, later_us - 1) == []
    assert said(street.idle(SOON, later_us)) == [("IBM", "15min", 0, 1, 0)]


def test_beside_a_delayed_feed_the_wall_clock_counts() -> None:
    street = Street()
    street.trade(5, "IBM")
    street.now += LATENESS + GRACE
    street.trade(20, "BAC")
    assert said(street.idle(SOON)) == [("IBM", "1min", 0, 1, 0)]


def test_a_delayed_feed_s_bar_is_not_idle_before_its_end_by_the_feed_s_own_clock() -> None:
    street = Street(MINUTE, QUARTER)
    delay_us = 900 * SECOND_US
    street.trade(5, delay_us=delay_us)
    arrived_us = START_US + 5 * SECOND_US + delay_us
    assert street.idle(LATENESS + GRACE + SOON, arrived_us + 12 * SECOND_US) == []
    street.trade(30, delay_us=delay_us)
    ended_us = START_US + 60 * SECOND_US + delay_us
    assert street.idle(LATENESS + GRACE + SOON, ended_us - 1) == []
    assert said(street.idle(SOON, ended_us)) == [("IBM", "1min", 0, 2, 0)]
    assert said(street.idle(SOON, ended_us + 840 * SECOND_US)) == [("IBM", "15min", 0, 2, 0)]
    assert street.closer.reopened == 0


def test_how_far_a_feed_is_delayed_survives_a_restart() -> None:
    street = Street(QUARTER)
    street.trade(5, delay_us=900 * SECOND_US)
    (state,) = [symbol.dump() for _, symbol in street.closer.changed()]
    again = Street(QUARTER)
    again.closer.restore("IBM", Symbol.load(state, again.now))
    ended_us = START_US + 1_800 * SECOND_US
    assert again.idle(LATENESS + GRACE + SOON, ended_us - 1) == []
    assert said(again.idle(SOON, ended_us)) == [("IBM", "15min", 0, 1, 0)]


def test_a_recording_that_ends_is_closed_at_once_though_its_day_is_long_past() -> None:
    street = Street(MINUTE, QUARTER)
    street.trade(5)
    years_later_us = START_US + 10 * 365 * 86_400 * SECOND_US
    assert len(street.idle(LATENESS + GRACE + SOON, years_later_us)) == 2


def test_while_a_recording_plays_its_other_symbols_are_the_clock() -> None:
    years_later_us = START_US + 10 * 365 * 86_400 * SECOND_US
    street = Street(MINUTE, QUARTER)
    street.trade(5, "IBM")
    street.now += LATENESS + GRACE
    street.trade(69, "BAC")
    assert street.idle(SOON, years_later_us) == []
    street.trade(70, "BAC")
    assert said(street.idle(SOON, years_later_us)) == [("IBM", "1min", 0, 1, 0)]
    street.trade(910, "BAC")
    assert said(street.idle(SOON, years_later_us)) == [("IBM", "15min", 0, 1, 0)]


def test_a_bar_lacks_no_trade_though_the_row_that_shows_its_end_comes_long_before_its_own() -> None:
    street = Street()
    street.trade(5)
    street.trade(59.9, reaches_spark=False)  # Spark is restarted
    first, second = provisional(street.trades["IBM"], MINUTE)
    street.trade(75)
    assert street.due() + street.due(60) == []
    assert street.idle(LATENESS + GRACE + SOON) == []
    assert street.closer.passed(street.now) == []
    street.closer.take_bar(encode(first), street.now)
    assert street.due(60) == []
    street.closer.take_bar(encode(second), street.now)
    assert said(street.due() + street.due(SETTLE + SOON)) == [("IBM", "1min", 0, 2, 0)]


def test_a_bar_waits_for_its_own_row_though_another_interval_s_shows_the_trade() -> None:
    street = Street(MINUTE, QUARTER)
    street.trade(5)
    street.trade(50, reaches_spark=False)
    (_, quarter) = provisional(street.trades["IBM"], QUARTER)
    street.closer.take_bar(encode(quarter), street.now)  # and Spark is killed
    assert street.idle(60 * LATENESS) == []
    street.publish()
    assert said(street.idle(LATENESS + GRACE + SOON)) == [("IBM", "1min", 0, 2, 0)]


def test_a_correction_shows_no_other_bar_s_trades() -> None:
    street = Street()
    street.trade(5)
    street.trade(6)
    street.trade(61, reaches_spark=False)
    bar = provisional(street.trades["IBM"][:2], MINUTE)[-1]
    newest_us = street.trades["IBM"][-1].received_time_us
    corrected = replace(bar, trade_count=1, cancelled=1, last_received_time_us=newest_us)
    street.closer.take_bar(encode(corrected), street.now)
    assert street.closer.behind_seconds() > 0


def test_of_two_trades_received_at_once_a_bar_has_both() -> None:
    street = Street()
    street.trade(5)
    street.trade(50, delay_us=TRANSIT_US)
    street.trade(49, delay_us=SECOND_US + TRANSIT_US, reaches_spark=False)
    assert len({tick.received_time_us for tick in street.trades["IBM"][1:]}) == 1
    assert street.idle(60 * LATENESS) == []
    street.publish()
    assert said(street.idle(LATENESS + GRACE + SOON)) == [("IBM", "1min", 0, 3, 0)]


def test_which_trades_were_there_survives_a_restart() -> None:
    street = Street(MINUTE)
    street.trade(5)
    street.trade(59.9, reaches_spark=False)
    street.trade(61, reaches_spark=False)
    (state,) = [symbol.dump() for _, symbol in street.closer.changed()]
    assert state == Symbol.load(state, 0.0).dump()
    street.closer = BarCloser(street.rules, street.remembered)
    street.closer.restore("IBM", Symbol.load(state, street.now))
    street.trade(135)
    assert street.due() + street.due(60) == []
    street.closer.take_bar(encode(provisional(street.trades["IBM"][:2], MINUTE)[-1]), street.now)
    assert said(street.due() + street.due(SETTLE + SOON)) == [("IBM", "1min", 0, 2, 0)]


def test_a_trade_that_spark_has_lost_keeps_a_bar_open_for_ten_minutes_of_it_going_on() -> None:
    street = Street()
    street.trade(5)
    street.trade(50, reaches_spark=False)
    street.trades["IBM"].pop()
    street.trade(75)
    assert street.closed() + street.due(3_600) == []
    street.trade(661)
    assert said(street.closed()) == [("IBM", "1min", 0, 1, 0), ("IBM", "1min", 60, 1, 0)]


def test_what_is_known_of_windows_without_bars_is_bounded() -> None:
    street = Street()
    for minute in range(5_000):
        odd_lot(street, minute * 60, in_bars=False)
    (state,) = [symbol.dump() for _, symbol in street.closer.changed()]
    assert len(state) < 2_000


def test_a_symbol_is_not_idle_while_spark_has_trades_of_it() -> None:
    street = Street()
    street.trade(5)
    street.trade(6, reaches_spark=False)
    assert street.idle(10 * LATENESS) == []
    street.publish()
    assert street.idle(LATENESS + GRACE - SOON) == []
    assert said(street.idle(2 * SOON)) == [("IBM", "1min", 0, 2, 0)]


def test_time_in_which_nothing_could_arrive_is_no_silence() -> None:
    street = Street()
    street.trade(5)
    street.now += LATENESS
    street.closer.restart_idle_clock(street.now)
    assert street.idle(LATENESS) == []
    assert len(street.idle(GRACE + SOON)) == 1


def test_a_trade_in_time_after_an_idle_close_makes_a_higher_revision() -> None:
    street = Street()
    street.trade(5)
    (first,) = street.idle(LATENESS + GRACE + SOON)
    street.trade(7)
    assert street.closer.reopened == 1
    assert street.closed() == []
    (second,) = street.idle(LATENESS + GRACE + SOON)
    street.trade(8)
    street.trade(70)
    (third,) = street.closed()
    assert [bar.revision for bar in (first, second, third)] == [0, 1, 2]
    provisionals = provisional(street.trades["IBM"], MINUTE)[:3]
    versions = [bar.version for pair in zip(provisionals, (first, second, third), strict=True) for bar in pair]
    assert versions == sorted(versions)


def test_fetched_trades_make_one_more_final_once_they_pause() -> None:
    street = Street()
    street.trade(5)
    street.trade(70)
    assert len(street.closed()) == 1
    street.trade(3_600)
    street.closed()
    for second in range(10, 50, 10):
        street.now += GRACE / 2
        street.trade(second)
        assert street.due() == []
    assert said(street.due(GRACE + SOON)) == [("IBM", "1min", 0, 5, 1)]
    assert street.closed() == []


def test_a_bar_all_of_whose_trades_were_fetched_is_final_too() -> None:
    street = Street()
    street.trade(3_600)
    street.trade(5)
    assert said(street.due(GRACE + SOON)) == [("IBM", "1min", 0, 1, 0)]


def test_what_spark_publishes_again_changes_nothing() -> None:
    street = Street()
    street.trade(5)
    street.trade(6)
    street.trade(70)
    street.closed()
    for bar in provisional(street.trades["IBM"], MINUTE):
        street.closer.take_bar(encode(bar), street.now)
    assert street.due(GRACE + SOON) == []
    assert street.closer.open_bars() == 1
    assert street.closer.reopened == 0


def test_what_spark_publishes_again_of_an_open_bar_takes_nothing_back() -> None:
    street = Street()
    street.trade(5)
    street.trade(6)
    for bar in provisional(street.trades["IBM"], MINUTE):
        street.closer.take_bar(encode(bar), street.now)
        street.closer.take_bar(encode(provisional(street.trades["IBM"], MINUTE)[0]), street.now)
    street.trade(70)
    assert said(street.closed()) == [("IBM", "1min", 0, 2, 0)]


def test_what_it_published_itself_changes_nothing() -> None:
    street = Street()
    street.trade(5)
    street.trade(70)
    (final,) = street.closed()
    street.closer.take_bar(encode(final), street.now)
    assert street.closed() == []
    assert street.closer.open_bars() == 1


def test_a_final_met_on_the_topic_is_not_published_again() -> None:
    earlier = Street()
    earlier.trade(5)
    earlier.trade(70)
    (final,) = earlier.closed()
    street = Street()
    street.trade(5)
    street.closer.take_bar(encode(final), street.now)
    street.trade(70)
    assert street.closed() == []
    street.trade(71)
    street.trade(6)
    assert said(street.due(GRACE + SOON)) == [("IBM", "1min", 0, 2, 1)]


def test_a_final_met_on_the_topic_behind_a_newer_version_of_its_bar() -> None:
    earlier = Street()
    earlier.trade(5)
    (final,) = earlier.idle(LATENESS + GRACE + SOON)
    street = Street()
    street.trade(5)
    street.trade(6)  # its row came before the final, and was not read in time
    street.closer.take_bar(encode(final), street.now)
    street.trade(70)
    assert said(street.closed()) == [("IBM", "1min", 0, 2, 1)]


def test_a_bar_that_closes_is_a_change_to_be_saved() -> None:
    street = Street()
    street.trade(5)
    street.trade(70)
    street.due()
    assert len(list(street.closer.changed())) == 1
    assert not list(street.closer.changed())
    assert len(street.due(SETTLE + SOON)) == 1
    assert len(list(street.closer.changed())) == 1


def test_what_was_saved_is_taken_up_again() -> None:
    street = Street(MINUTE, QUARTER)
    street.trade(5)
    street.trade(61, reaches_spark=False)
    saved = {name: symbol.dump() for name, symbol in street.closer.changed()}
    assert not list(street.closer.changed())
    again = Street(MINUTE, QUARTER)
    again.trades, again.remembered = street.trades, street.remembered
    for name, dumped in saved.items():
        again.closer.restore(name, Symbol.load(dumped, again.now))
    assert again.closer.open_bars() == 2
    assert again.idle(10 * LATENESS) == []  # Spark has yet to publish the second trade
    again.publish()
    again.trade(70)
    assert said(again.closed()) == [("IBM", "1min", 0, 1, 0)]


def test_a_saved_bar_whose_time_has_passed_is_closed() -> None:
    street = Street()
    street.trade(5)
    street.trade(70)
    saved = {name: symbol.dump() for name, symbol in street.closer.changed()}
    again = Street()
    for name, dumped in saved.items():
        again.closer.restore(name, Symbol.load(dumped, again.now))
    assert said(again.closed()) == [("IBM", "1min", 0, 1, 0)]


@pytest.mark.parametrize("value", [b"", b"[]", b"7", b"{}", b'{"symbol":"IBM"}', b'{"symbol":"IBM","interval":"1min"}'])
def test_what_is_no_message_is_refused(value: bytes) -> None:
    closer = Street().closer
    with pytest.raises(ValueError, match=r"."):
        closer.take_bar(value, 0.0)
    with pytest.raises(ValueError, match=r"."):
        closer.take_tick("IBM", value, 0.0)


def test_a_bar_that_contradicts_itself_is_never_final() -> None:
    street = Street()
    street.trade(5)
    (bar,) = provisional(street.trades["IBM"], MINUTE)
    broken = encode(bar).replace(b'"trade_count":1', b'"trade_count":9').replace(b'"low":', b'"low":9')
    street.closer.take_bar(broken, street.now)
    street.trade(70)
    assert street.closed() == []


def test_how_far_spark_is_behind() -> None:
    street = Street()
    assert street.closer.behind_seconds() == 0
    street.trade(5)
    assert street.closer.behind_seconds() == 0
    street.trade(50, reaches_spark=False)
    assert street.closer.behind_seconds() == 45


def test_the_closer_needs_no_spark() -> None:
    import subprocess

    look = "import marketstream.streaming.closer, sys; sys.exit('pyspark' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], check=False).returncode == 0


def odd_lot(street: Street, second: float, symbol: str = "IBM", *, in_bars: bool = True) -> None:
    """A trade that updates no price; in a bar only where another of its window makes one."""
    own = street.trades.setdefault(symbol, [])
    tick = replace(trade(symbol, START_US + round(second * SECOND_US), len(own)), conditions=("37",))
    street.closer.take_tick(symbol, encode(tick), street.now)
    if in_bars:
        own.append(tick)
        street.publish(symbol)


def test_a_trade_that_no_bar_shows_keeps_none_open() -> None:
    street = Street()
    street.trade(5)
    street.now += 1
    odd_lot(street, 1_000, in_bars=False)  # a quarter of an hour in which nothing else traded
    assert street.idle(LATENESS) == []  # not silent for long enough
    assert said(street.idle(GRACE + SOON)) == [("IBM", "1min", 0, 1, 0)]


def test_a_trade_that_a_bar_must_show_is_waited_for_though_it_updates_no_price() -> None:
    street = Street()
    street.trade(5)
    odd_lot(street, 6, in_bars=False)  # Spark is down
    assert street.idle(3_600) == []
    street.trades["IBM"].append(replace(trade("IBM", START_US + 6 * SECOND_US, 1), conditions=("37",)))
    street.publish()
    assert said(street.idle(LATENESS + GRACE + SOON)) == [("IBM", "1min", 0, 2, 0)]


def test_a_trade_in_the_window_of_a_bar_that_is_known_only_from_the_topic_is_waited_for() -> None:
    street = Street(QUARTER)
    street.trades["IBM"] = [trade("IBM", START_US, 0)]
    street.publish()
    odd_lot(street, 6, in_bars=False)
    assert street.idle(3_600) == []


def test_time_goes_on_where_only_odd_lots_trade() -> None:
    street = Street()
    street.trade(5)
    for second in (61, 65, 69.9):
        odd_lot(street, second, in_bars=False)
        street.now += 1
        assert street.closer.passed(street.now) == []
    odd_lot(street, 70, in_bars=False)
    assert street.closer.passed(street.now) == []  # what is under way may still come
    finals = [final.bar for final in street.closer.passed(street.now + SETTLE + SOON)]
    assert said(finals) == [("IBM", "1min", 0, 1, 0)]


def test_odd_lots_end_no_bar_of_which_spark_still_has_a_trade_in_hand() -> None:
    street = Street()
    street.trade(5)
    street.trade(50, reaches_spark=False)
    odd_lot(street, 300, in_bars=False)
    street.now += 1
    assert street.closer.passed(street.now) + street.closer.passed(street.now + 60) == []
    street.publish()
    assert street.closer.passed(street.now) == []
    assert said([final.bar for final in street.closer.passed(street.now + 60)]) == [("IBM", "1min", 0, 2, 0)]


def test_what_odd_lots_have_told_survives_a_restart() -> None:
    street = Street()
    street.trade(5)
    odd_lot(street, 6, in_bars=False)
    odd_lot(street, 300, in_bars=False)
    assert street.closer.passed(street.now) + street.closer.passed(street.now + 60) == []
    (state,) = [symbol.dump() for _, symbol in street.closer.changed()]
    assert state == Symbol.load(state, 0.0).dump()
    street.closer = BarCloser(street.rules, street.remembered)
    street.closer.restore("IBM", Symbol.load(state, street.now))
    assert (
        street.closer.passed(street.now) + street.closer.passed(street.now + 60) == []
    )  # the first minute's lacks one
    street.trades["IBM"].append(trade("IBM", START_US + 6 * SECOND_US, 1))
    street.publish()
    assert street.closer.passed(street.now) == []
    assert said([final.bar for final in street.closer.passed(street.now + 60)]) == [("IBM", "1min", 0, 2, 0)]


def correction(street: Street, taken: int = 1) -> Bar:
    """What the corrector publishes of the first minute."""
    bar = provisional(street.trades["IBM"], MINUTE)[-1]
    made = replace(bar, trade_count=bar.trade_count - taken, cancelled=taken)
    street.closer.take_bar(encode(made), street.now)
    return made


def test_a_bar_without_its_cancelled_trade_is_the_next_final() -> None:
    street = Street()
    street.trade(5)
    street.trade(6)
    assert said(street.idle(LATENESS + GRACE + SOON)) == [("IBM", "1min", 0, 2, 0)]
    wanted = correction(street)
    assert street.idle(LATENESS) == []
    (final,) = street.idle(GRACE + SOON)
    assert final == replace(wanted, final=True, revision=1)
    street.publish()  # Spark again, from an earlier checkpoint
    correction(street)  # and the corrector, before it was stored
    assert street.idle(3_600) == []


def test_a_trade_after_a_correction_makes_a_final_that_is_corrected_again() -> None:
    street = Street()
    street.trade(5)
    street.trade(6)
    street.idle(LATENESS + GRACE + SOON)
    correction(street)
    street.idle(LATENESS + GRACE + SOON)
    street.trade(7)
    assert said(street.idle(LATENESS + GRACE + SOON)) == [("IBM", "1min", 0, 3, 2)]
    correction(street)
    (final,) = street.idle(LATENESS + GRACE + SOON)
    assert (final.trade_count, final.cancelled, final.revision) == (2, 1, 3)


def test_a_correction_of_an_open_bar_gives_way_to_the_next_trade() -> None:
    street = Street()
    street.trade(5)
    street.trade(6)
    correction(street)
    (state,) = [symbol.dump() for _, symbol in street.closer.changed()]
    assert state == Symbol.load(state, 0.0).dump()
    street.trade(7)
    assert said(street.idle(LATENESS + GRACE + SOON)) == [("IBM", "1min", 0, 3, 0)]


def test_a_bar_of_which_everything_was_cancelled_is_final_too() -> None:
    street = Street()
    street.trade(5)
    street.idle(LATENESS + GRACE + SOON)
    correction(street)
    (final,) = street.idle(LATENESS + GRACE + SOON)
    assert (final.void, final.revision) == (True, 1)
