"""Which session a moment belongs to, by dates that are known without any library."""

import subprocess
import sys
from datetime import datetime, timedelta

import pytest

from marketstream.analytics.sessions import ExchangeSessions, ForexDays, MarketSessions, Session, Sessions, UtcDays
from marketstream.domain.errors import ConfigurationError


def us(text: str) -> int:
    return int(datetime.fromisoformat(f"{text}+00:00").timestamp()) * 1_000_000


def session(opened: str, closed: str) -> Session:
    return Session(us(opened), us(closed))


@pytest.fixture(scope="module")
def markets() -> MarketSessions:
    return MarketSessions()


@pytest.mark.parametrize(
    ("symbol", "moment", "expected"),
    [
        # New York's winter and summer, a day after Thanksgiving, a weekend and a day of mourning.
        ("AAPL", "2024-01-10T14:30", ("2024-01-10T14:30", "2024-01-10T21:00")),
        ("IBM", "2013-10-07T19:59:59", ("2013-10-07T13:30", "2013-10-07T20:00")),
        ("IBM", "2013-10-07T13:29:59", None),
        ("IBM", "2013-10-07T20:00", None),
        ("AAPL", "2024-11-29T15:00", ("2024-11-29T14:30", "2024-11-29T18:00")),
        ("AAPL", "2024-11-30T15:00", None),
        ("AAPL", "2025-01-09T15:00", None),
        # Globex: from the evening before; July 4 ends at noon in Chicago.
        ("XAUUSD", "2024-01-09T23:00", ("2024-01-09T23:00", "2024-01-10T23:00")),
        ("WTI", "2024-07-04T16:59", ("2024-07-03T22:00", "2024-07-04T17:00")),
        ("WTI", "2024-07-04T17:00", None),
        # Foreign exchange: Sunday 17:00 to Friday 17:00 in New York, which changes its clock on a Sunday.
        ("EURUSD", "2024-03-08T21:59:59", ("2024-03-07T22:00", "2024-03-08T22:00")),
        ("EURUSD", "2024-03-08T22:00", None),
        ("EURUSD", "2024-03-10T20:59:59", None),
        ("EURUSD", "2024-03-10T21:00", ("2024-03-10T21:00", "2024-03-11T21:00")),
        ("BTCUSDT", "2024-03-10T21:00", ("2024-03-10T00:00", "2024-03-11T00:00")),
        ("ETHUSDT-PERP", "2024-03-11T00:00", ("2024-03-11T00:00", "2024-03-12T00:00")),
    ],
)
def test_known_days(markets: MarketSessions, symbol: str, moment: str, expected: tuple[str, str] | None) -> None:
    assert markets.of(symbol).session_of(us(moment)) == (expected and session(*expected))


def test_each_calendar_is_shared(markets: MarketSessions) -> None:
    assert markets.of("IBM") is markets.of("AAPL")
    assert markets.of("IBM") is not markets.of("BTCUSDT")


def test_an_asset_class_may_have_another_calendar() -> None:
    other = MarketSessions({"equity": "24/7", "commodity": "24/5"})
    assert isinstance(other.of("IBM"), UtcDays)
    assert isinstance(other.of("XAUUSD"), ForexDays)


def test_no_session_is_lost_where_one_computed_span_of_years_meets_the_next() -> None:
    exchange = ExchangeSessions("CMES")
    edge = us("2019-12-20T00:00")
    assert edge % (3_650 * 86_400 * 1_000_000) == 0
    around = {exchange.session_of(edge + shift) for shift in (-1, 0)}
    assert around == {session("2019-12-19T23:00", "2019-12-20T23:00")}


@pytest.mark.parametrize("sessions", [UtcDays(), ForexDays()])
def test_an_answer_does_not_depend_on_the_one_before(sessions: Sessions) -> None:
    """Every hour of three weeks, forwards and with a look far back before each."""
    begin = datetime.fromisoformat("2024-10-21T00:00+00:00")
    hours = [int((begin + timedelta(hours=hour)).timestamp()) * 1_000_000 for hour in range(21 * 24)]
    forwards = [sessions.session_of(hour) for hour in hours]
    for hour, told in zip(hours, forwards, strict=True):
        sessions.session_of(hour - 400 * 86_400_000_000)
        assert sessions.session_of(hour) == told
        assert told is None or told.open_us <= hour < told.close_us


def test_an_unknown_calendar_is_told() -> None:
    with pytest.raises(ConfigurationError, match="calendar 'XXXX'"):
        ExchangeSessions("XXXX").session_of(us("2024-01-10T14:30"))


def test_pure_maths_does_not_load_the_calendar_library() -> None:
    code = """
import sys
from marketstream.analytics import indicators, parameters, sessions
one = indicators.IndicatorCalculator(parameters.IndicatorParameters(), sessions.MarketSessions().of("BTCUSDT"))
print(sorted({"pandas", "numpy", "exchange_calendars", "pyspark"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
