"""How much one may ask: token buckets in bounded memory, and what the headers say of them.

The fields are those of draft-ietf-httpapi-ratelimit-headers-10: `RateLimit-Policy: "requests";q=200;w=2` and
`RateLimit: "requests";r=199;t=1`.
"""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from marketstream.domain.errors import MarketstreamError

_MOST_BUCKETS = 50_000  # some 10 MB


@dataclass(frozen=True, slots=True)
class Policy:
    """A bucket that holds `burst` and is full again after `seconds`.

    Args:
        name: As the headers have it.
        burst: How many at once.
        seconds: Until an empty one is full.
    """

    name: str
    burst: int
    seconds: float

    @property
    def header(self) -> str:
        """The value of `RateLimit-Policy`."""
        return f'"{self.name}";q={self.burst};w={max(math.ceil(self.seconds), 1)}'


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left after a request.

    Args:
        policy: Of which bucket.
        allowed: Whether the request fitted.
        left: How many more fit now.
        wait_seconds: Until one more fits than do now.
    """

    policy: Policy
    allowed: bool
    left: int
    wait_seconds: float

    @property
    def headers(self) -> dict[str, str]:
        """`RateLimit-Policy` and `RateLimit`."""
        wait = math.ceil(self.wait_seconds)
        return {
            "RateLimit-Policy": self.policy.header,
            "RateLimit": f'"{self.policy.name}";r={self.left};t={wait}',
        }


class TooManyRequestsError(MarketstreamError):
    """Somebody asked more than they may.

    Args:
        message: What to do.
        allowance: Of the bucket that is empty.
    """

    def __init__(self, message: str, allowance: Allowance) -> None:
        super().__init__(message)
        self.allowance = allowance

    @property
    def retry_after_seconds(self) -> int:
        """Until the next request fits."""
        return max(math.ceil(self.allowance.wait_seconds), 1)


class Limiter:
    """A token bucket for each name. Not for several threads at once: an event loop's own.

    Args:
        policy: Of every bucket.
        most: How many buckets are kept; the one longest unused goes first, by when it is most likely full again.
        monotonic: Seconds that never go back.
    """

    def __init__(
        self, policy: Policy, *, most: int = _MOST_BUCKETS, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.policy = policy
        self._rate = policy.burst / policy.seconds
        self._most = most
        self._monotonic = monotonic
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, name: str) -> Allowance:
        """Takes one out of the bucket, if there is one."""
        held, now = self._held(name), self._monotonic()
        allowed = held >= 1
        held -= allowed
        self._buckets[name] = held, now
        self._buckets.move_to_end(name)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return self._allowance(held, allowed=allowed)

    def look(self, name: str) -> Allowance:
        """What the bucket holds, without taking."""
        held = self._held(name)
        return self._allowance(held, allowed=held >= 1)

    def _held(self, name: str) -> float:
        bucket = self._buckets.get(name)
        if bucket is None:
            return float(self.policy.burst)
        held, at = bucket
        return min(held + (self._monotonic() - at) * self._rate, float(self.policy.burst))

    def _allowance(self, held: float, *, allowed: bool) -> Allowance:
        left = int(held)
        wait = 0.0 if left >= self.policy.burst else (left + 1 - held) / self._rate
        return Allowance(self.policy, allowed, left, wait)


def address_name(address: str) -> str:
    """The bucket of an address: an IPv6 network of 64 bits is one customer's, and so one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.IPv6Network((parsed, 64), strict=False))
    return str(parsed)
