"""Silence is asked about, growing delay is a fault, a constant delay and a straggler are not."""

from marketstream.domain.errors import Fault
from marketstream.domain.market import Tick
from marketstream.ports import Frame
from marketstream.producers.watch import Baseline, SessionWatch
from marketstream.settings import FailoverSettings

NOW_US = 1_700_000_000_000_000
SETTINGS = FailoverSettings(first_message_seconds=2, silence_seconds=3, max_lag_seconds=10, lag_patience_seconds=3)


def frame(now: float, lag_seconds: float) -> Frame:
    received_us = NOW_US + round(now * 1_000_000)
    tick = Tick(
        symbol="IBM",
        price=1.0,
        size=1.0,
        event_time_us=received_us - round(lag_seconds * 1_000_000),
        received_time_us=received_us,
        provider="test",
        trade_id="1",
    )
    return Frame(b"", received_us, [tick])


def watch(baseline: Baseline | None = None) -> SessionWatch:
    made = SessionWatch(SETTINGS, baseline or Baseline(), began_at=0.0)
    made.subscribed_at = 0.0
    return made


def test_nothing_after_the_acknowledgement_is_suspicious() -> None:
    session = watch()
    assert session.suspicion(1.9) is None
    assert session.suspicion(2.0) is Fault.SILENT


def test_silence_after_data_is_suspicious_and_can_be_excused() -> None:
    session = watch()
    session.saw(frame(1.0, 0.1), 1.0)
    assert session.suspicion(3.9) is None
    assert session.suspicion(4.0) is Fault.SILENT
    session.excuse(4.0, session.quiet_seconds(4.0))
    assert session.suspicion(6.9) is None
    assert session.suspicion(7.0) is Fault.SILENT


def test_a_growing_delay_is_stale_once_it_has_lasted() -> None:
    session = watch()
    verdicts = {}
    for now in range(20):
        session.saw(frame(now, max(0.0, 3.0 * (now - 5))), now)
        verdicts[now] = session.suspicion(now)
    first_stale = next(now for now, verdict in verdicts.items() if verdict)
    assert (first_stale, verdicts[first_stale]) == (12, Fault.STALE)  # beyond 10 s of delay from 9 s on


def test_a_feed_that_is_always_late_is_not_stale() -> None:
    session = watch()
    for now in range(60):
        session.saw(frame(now, 900.0), now)
        assert session.suspicion(now) is None


def test_what_was_normal_in_the_last_session_is_normal_in_this_one() -> None:
    baseline = Baseline()
    first = watch(baseline)
    first.saw(frame(0.0, 0.1), 0.0)
    first.suspicion(0.0)
    second = watch(baseline)
    for now in range(5):
        second.saw(frame(now, 60.0), now)
        verdict = second.suspicion(now)
    assert verdict is Fault.STALE


def test_one_straggler_is_no_delay() -> None:
    session = watch()
    for now in range(10):
        session.saw(frame(now, 0.1), now)
        if now == 5:
            session.saw(frame(now, 60.0), now)
        assert session.suspicion(now) is None
