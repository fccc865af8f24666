"""The validator's verdicts."""

from dataclasses import replace

import pytest

from marketstream.domain.market import Tick
from marketstream.domain.outcomes import Reason
from marketstream.producers.validation import Refusal, TickValidator, Verdict

SECOND = 1_000_000
NOW = 1_700_000_000 * SECOND
TICK = Tick(
    symbol="IBM",
    price=182.5,
    size=100.0,
    event_time_us=NOW,
    received_time_us=NOW,
    provider="polygon",
    trade_id="1",
)


def at(seconds: float, trade_id: str, symbol: str = "IBM") -> Tick:
    return replace(TICK, event_time_us=NOW + round(seconds * SECOND), trade_id=trade_id, symbol=symbol)


def validator() -> TickValidator:
    return TickValidator(["IBM", "BAC"], allowed_lateness_seconds=10)


def reason(verdict: Verdict | Refusal) -> Reason:
    assert isinstance(verdict, Refusal)
    assert verdict.detail
    return verdict.reason


def test_a_known_symbol_in_time_is_accepted() -> None:
    judge = validator()
    assert judge.judge(TICK, NOW) is Verdict.ACCEPTED
    assert judge.newest_us("IBM") == NOW
    assert judge.newest_us("BAC") is None


def test_an_unknown_symbol_is_refused() -> None:
    assert reason(validator().judge(at(0, "1", "XYZ"), NOW)) is Reason.UNKNOWN_SYMBOL


@pytest.mark.parametrize(
    ("time_us", "sane"),
    [
        (4_102_444_800 * SECOND, False),  # the year 2100
        (NOW + 86_400 * SECOND, True),
        (NOW + 86_400 * SECOND + 1, False),
        (631_152_000 * SECOND, True),  # 1990-01-01
        (631_152_000 * SECOND - 1, False),
        (0, False),
    ],
)
def test_times_are_sane(time_us: int, sane: bool) -> None:
    verdict = validator().judge(replace(TICK, event_time_us=time_us), NOW)
    assert verdict is Verdict.ACCEPTED if sane else reason(verdict) is Reason.TIME_OUT_OF_RANGE


def test_a_senseless_time_is_no_newest_time() -> None:
    judge = validator()
    judge.judge(replace(TICK, event_time_us=NOW * 2), NOW)
    assert judge.judge(TICK, NOW) is Verdict.ACCEPTED
    assert reason(judge.judge(replace(TICK, event_time_us=0), NOW)) is Reason.TIME_OUT_OF_RANGE


def test_lateness_counts_from_the_symbols_own_newest_time() -> None:
    judge = validator()
    judge.judge(at(20, "1"), NOW)
    assert judge.judge(at(10, "2"), NOW) is Verdict.ACCEPTED
    assert reason(judge.judge(at(9.999999, "3"), NOW)) is Reason.LATE
    assert judge.judge(at(0, "1", "BAC"), NOW) is Verdict.ACCEPTED


def test_a_late_tick_moves_nothing() -> None:
    judge = validator()
    judge.judge(at(20, "1"), NOW)
    judge.judge(at(5, "2"), NOW)
    assert judge.newest_us("IBM") == NOW + 20 * SECOND
    assert judge.remembered() == 1


def test_a_duplicate_is_recognised_as_long_as_it_would_be_in_time() -> None:
    judge = validator()
    judge.judge(at(0, "1"), NOW)
    judge.judge(at(10, "2"), NOW)
    assert judge.judge(at(0, "1"), NOW) is Verdict.DUPLICATE
    assert judge.judge(at(10, "2"), NOW) is Verdict.DUPLICATE


def test_equal_times_with_distinct_ids_are_distinct_trades() -> None:
    judge = validator()
    assert [judge.judge(at(0, str(number)), NOW) for number in range(100)] == [Verdict.ACCEPTED] * 100


def test_an_id_is_the_symbols_and_the_providers_own() -> None:
    judge = validator()
    judge.judge(TICK, NOW)
    assert judge.judge(replace(TICK, provider="binance", price=182.6), NOW) is Verdict.ACCEPTED
    assert judge.judge(replace(TICK, provider="fmp"), NOW) is Verdict.DUPLICATE  # the same print, told by another
    assert judge.judge(replace(TICK, symbol="BAC"), NOW) is Verdict.ACCEPTED


def test_an_id_may_be_used_again_once_the_first_is_long_past() -> None:
    judge = validator()
    assert judge.judge(at(0, "1"), NOW) is Verdict.ACCEPTED
    assert judge.judge(at(20_000, "1"), NOW) is Verdict.ACCEPTED


def test_memory_is_bounded_by_the_lateness() -> None:
    judge = validator()
    for second in range(10_000):
        judge.judge(at(second, str(second)), NOW)
        assert judge.remembered() <= 21
    assert judge.judge(at(9_990, "9990"), NOW) is Verdict.DUPLICATE


def test_without_any_lateness_equal_times_still_pass() -> None:
    judge = TickValidator(["IBM"], allowed_lateness_seconds=0)
    assert judge.judge(at(0, "1"), NOW) is Verdict.ACCEPTED
    assert judge.judge(at(0, "2"), NOW) is Verdict.ACCEPTED
    assert reason(judge.judge(at(-0.000001, "3"), NOW)) is Reason.LATE


def test_restored_ticks_are_known_in_any_order() -> None:
    ticks = [at(second, str(second)) for second in (50, 3, 47, 44, 1)]
    judge = validator()
    judge.restore([*ticks, at(0, "1", "XYZ")])
    assert judge.newest_us("IBM") == NOW + 50 * SECOND
    assert [judge.judge(at(second, str(second)), NOW) for second in (50, 47, 44)] == [Verdict.DUPLICATE] * 3
    assert reason(judge.judge(at(3, "3"), NOW)) is Reason.LATE
    assert judge.remembered() == 3
