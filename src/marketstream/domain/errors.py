"""The one tree of errors: everything the platform raises on purpose derives from `MarketstreamError`."""

from enum import StrEnum


class MarketstreamError(Exception):
    """marketstream could not go on."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__class__.__doc__ or "").strip().splitlines()[0])


class ConfigurationError(MarketstreamError):
    """A setting is missing or wrong; the message names it and a value that works."""


class NoSymbolsError(ConfigurationError):
    """A provider carries none of the configured symbols."""


class Fault(StrEnum):
    """What a provider's refusal means; the value is what events, metrics and REST carry."""

    BAD_KEY = "bad_key"
    PLAN = "plan"  # the key is good, what was asked for is not in its plan
    UNKNOWN_SYMBOL = "unknown_symbol"
    BURST_LIMIT = "burst_limit"  # too many requests just now
    DAILY_QUOTA = "daily_quota"
    BANDWIDTH = "bandwidth"  # the plan's traffic is used up; not soon over
    BANNED = "banned"  # this address is shut out for a while
    SILENT = "silent"  # connected and acknowledged, yet nothing comes that should
    STALE = "stale"  # what comes is older and older
    SHUTDOWN = "shutdown"  # the provider says that it closes
    UNSUPPORTED = "unsupported"  # the provider has no such thing
    NETWORK = "network"
    PROTOCOL = "protocol"  # not the answer its documentation promises


# Connecting again with the same settings can't help.
FATAL_FAULTS = frozenset({Fault.BAD_KEY, Fault.PLAN, Fault.UNKNOWN_SYMBOL, Fault.UNSUPPORTED})


class ProviderError(MarketstreamError):
    """A market-data provider refused or broke the conversation.

    Args:
        message: What happened and what to do; holds no secret.
        provider: The provider's name, such as `polygon`.
        fault: What it means.
        retry_after_seconds: How long the provider wants to be left alone, where it says so.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        fault: Fault = Fault.PROTOCOL,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.fault = fault
        self.retry_after_seconds = retry_after_seconds

    @property
    def retriable(self) -> bool:
        """Whether connecting again may help; a bad key is not retriable."""
        return self.fault not in FATAL_FAULTS


class BusError(MarketstreamError):
    """Kafka refused a message or is away for good."""


class BusBackpressureError(BusError):
    """The publisher's bounded queue is full; wait `retry_after_seconds` and publish again."""

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__(f"publish queue is full; retry after {retry_after_seconds:g} s")
        self.retry_after_seconds = retry_after_seconds


class StoreError(MarketstreamError):
    """A store refused what was asked of it; the same request will fail again."""


class StoreUnavailableError(StoreError):
    """A store is away or restarting; the same request may succeed later."""


class Denial(StrEnum):
    """Why somebody may not; the value is what metrics and the audit log carry."""

    MISSING = "missing"  # nothing was brought
    INVALID = "invalid"  # no such key, or a token that is not ours
    EXPIRED = "expired"
    REVOKED = "revoked"
    ROLE = "role"  # known, and the role is too low
    SCOPE = "scope"  # known, and the key is for something else
    UNCHECKED = "unchecked"  # what would tell (the database, the key set) is away: try again later


class AccessDeniedError(MarketstreamError):
    """Somebody may not do what they asked for.

    Args:
        message: What is wrong and what to do; holds nothing of the credential.
        denial: Why.
    """

    def __init__(self, message: str, denial: Denial) -> None:
        super().__init__(message)
        self.denial = denial


class StreamingError(MarketstreamError):
    """The Spark query can't start or can't go on."""


class LaunchError(MarketstreamError):
    """A service can't be started; the message names the service and the way out."""
