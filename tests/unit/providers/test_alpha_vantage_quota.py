"""Alpha Vantage's requests keep to the minute's limit, and what the day allows lasts the day."""

from itertools import pairwise

import pytest

from marketstream.domain.errors import Fault, ProviderError
from marketstream.providers.alpha_vantage.config import AlphaVantageConfig
from marketstream.providers.alpha_vantage.history import _months
from marketstream.providers.alpha_vantage.quota import QuotaLimit
from marketstream.providers.times import utc_us
from marketstream.settings import AlphaVantageSettings, load_settings
from marketstream.testing.fakes import FakeClock

NOON = utc_us("2026-11-20 12:00:00")


class Time:
    """A clock that sleeping turns."""

    def __init__(self, now_us: int = NOON) -> None:
        self.clock = FakeClock(now_us)

    def seconds(self) -> float:
        return self.clock.time_us / 1_000_000

    async def sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)


def limit(time: Time, per_minute: int = 5, per_day: int = 25, spacing: float = 1.0) -> QuotaLimit:
    return QuotaLimit(
        per_minute, per_day, time.clock, spacing_seconds=spacing, sleep=time.sleep, monotonic=time.seconds
    )


async def test_no_minute_has_more_requests_than_allowed_and_no_second_two() -> None:
    time = Time()
    requests = limit(time)
    sent = []
    for _ in range(25):
        await requests.take()
        sent.append((time.clock.time_us - NOON) / 1_000_000)
    assert sent[:7] == [0, 1, 2, 3, 4, 60, 61]
    assert all(later - earlier >= 60 for earlier, later in zip(sent, sent[5:], strict=False))
    assert all(later - earlier >= 1 for earlier, later in pairwise(sent))


async def test_the_provider_may_ask_for_a_pause() -> None:
    time = Time()
    requests = limit(time)
    await requests.take()
    requests.penalise(90)
    await requests.take()
    assert time.clock.time_us - NOON == 90_000_000


async def test_the_days_quota_ends_and_is_renewed_at_new_yorks_midnight() -> None:
    time = Time()
    requests = limit(time, per_minute=100, per_day=3, spacing=0)
    for _ in range(3):
        await requests.take()
    with pytest.raises(ProviderError, match="REQUESTS_PER_DAY") as refused:
        await requests.take()
    assert refused.value.fault is Fault.DAILY_QUOTA
    assert refused.value.retry_after_seconds == 12 * 3_600
    time.clock.advance(12 * 3_600 - 1)
    assert requests.remaining == 0
    time.clock.advance(1)
    assert requests.remaining == 3
    await requests.take()
    assert requests.remaining == 2


async def test_even_pauses_make_the_quota_last_the_day() -> None:
    time = Time(utc_us("2026-11-20 00:00:00"))
    requests = limit(time)
    sent = []
    for _ in range(26):
        await requests.take()
        sent.append((time.clock.time_us - utc_us("2026-11-20 00:00:00")) / 1_000_000)
        await time.sleep(requests.even_pause_seconds())
    assert sent[24] < 86_400 <= sent[25]
    assert all(3_456 <= later - earlier < 3_457 for earlier, later in pairwise(sent))


def test_the_day_is_as_long_as_the_clocks_make_it() -> None:
    assert limit(Time(utc_us("2026-11-01 00:00:00"))).until_renewal_seconds() == 25 * 3_600
    assert limit(Time(utc_us("2026-03-08 00:00:00"))).until_renewal_seconds() == 23 * 3_600


@pytest.mark.parametrize(
    ("start", "end", "months"),
    [
        ("2026-11-01 00:00:00", "2026-11-30 00:00:00", ["2026-11"]),
        ("2025-11-30 23:59:59", "2026-02-01 00:00:00", ["2025-11", "2025-12", "2026-01"]),
        ("2025-12-31 20:00:00", "2025-12-31 21:00:00", ["2025-12"]),  # January already in UTC
        ("2026-11-01 00:00:00", "2026-11-01 00:00:00", []),
    ],
)
def test_history_is_asked_for_by_new_yorks_months(start: str, end: str, months: list[str]) -> None:
    assert list(_months(utc_us(start), utc_us(end))) == months


def test_equities_are_carried_and_limits_are_the_endpoints() -> None:
    endpoint = AlphaVantageSettings(
        websocket_url="", rest_url="http://h", interval="15min", requests_per_minute=75, requests_per_day=100_000
    )
    made = AlphaVantageConfig.of(endpoint, load_settings(symbols=["IBM", "BTCUSDT", "EURUSD"]))
    assert made.names.symbols == ("IBM",)
    assert (made.interval, made.requests_per_minute, made.requests_per_day) == ("15min", 75, 100_000)
    assert made.round_seconds == 225
