"""Keeps requests within a burst limit and a daily quota, and spreads what is left of the quota over the day."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import date, timedelta

from marketstream.domain.errors import Fault, ProviderError
from marketstream.ports import Clock
from marketstream.providers.alpha_vantage.parse import NAME
from marketstream.providers.limits import RateLimit
from marketstream.providers.times import eastern_text, utc_us

Sleep = Callable[[float], Awaitable[None]]
_MINUTE_SECONDS = 60.0


class QuotaLimit(RateLimit):
    """At most so many requests in any minute and so many a day, counted over stream and history alike.

    When the day begins is not documented. It is taken to be New York's midnight, after which it has begun in UTC too.

    Args:
        per_minute: Requests in any minute.
        per_day: Requests a day.
        clock: Tells the day.
        spacing_seconds: Between two requests; the free plan has one a second.
        sleep: Waits.
        monotonic: Seconds that never go back.
    """

    def __init__(
        self,
        per_minute: int,
        per_day: int,
        clock: Clock,
        *,
        spacing_seconds: float = 1.0,
        sleep: Sleep = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(per_minute, per_minute, monotonic)
        self._per_day = per_day
        self._clock = clock
        self._spacing_seconds = spacing_seconds
        self._sleep = sleep
        self._now = monotonic
        self._sent: deque[float] = deque(maxlen=per_minute)
        self._not_before = 0.0
        self._day = ""
        self._spent = 0

    @property
    def remaining(self) -> int:
        """Requests left of the day's quota."""
        today = eastern_text(self._clock.now_us())[:10]
        if today != self._day:
            self._day, self._spent = today, 0
        return self._per_day - self._spent

    def until_renewal_seconds(self) -> float:
        """How long until the quota is renewed."""
        now_us = self._clock.now_us()
        tomorrow = date.fromisoformat(eastern_text(now_us)[:10]) + timedelta(days=1)
        return (utc_us(tomorrow.isoformat()) - now_us) / 1_000_000

    def even_pause_seconds(self) -> float:
        """How long to wait after a request so that those that are left last until the renewal; without any, until it.

        It ends a second late, for clocks that don't agree to the last millisecond.
        """
        return (self.until_renewal_seconds() + 1) / (max(0, self.remaining) + 1)

    def reserve(self, units: float = 1.0) -> float:
        """Takes one request's place in the minute and returns how long to wait for it, in seconds."""
        now = self._now()
        at = max(now, self._not_before)
        if self._sent:
            at = max(at, self._sent[-1] + self._spacing_seconds)
        if len(self._sent) == self._sent.maxlen:
            at = max(at, self._sent[0] + _MINUTE_SECONDS)
        self._sent.append(at)
        return at - now

    def penalise(self, seconds: float) -> None:
        """Lets nothing through for this long, as the provider asked."""
        self._not_before = max(self._not_before, self._now() + seconds)

    async def take(self, units: float = 1.0) -> None:
        """Waits until a request may be sent.

        Raises:
            ProviderError: The day's quota is used up.
        """
        if self.remaining < 1:
            raise ProviderError(
                f"{NAME}: the {self._per_day} requests of the day (MARKETSTREAM_ALPHA_VANTAGE__REQUESTS_PER_DAY) "
                "are used up",
                provider=NAME,
                fault=Fault.DAILY_QUOTA,
                retry_after_seconds=self.until_renewal_seconds(),
            )
        self._spent += 1
        wait = self.reserve(units)
        if wait > 0:
            await self._sleep(wait)
