"""The one tree of errors: everything the platform raises on purpose derives from `MarketstreamError`."""


class MarketstreamError(Exception):
    """marketstream could not go on."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__class__.__doc__ or "").strip().splitlines()[0])


class ConfigurationError(MarketstreamError):
    """A setting is missing or wrong; the message names it and a value that works."""


class ProviderError(MarketstreamError):
    """A market-data provider refused or broke the conversation.

    Args:
        message: What happened and what to do.
        provider: The provider's name, such as `polygon`.
        retriable: Whether connecting again may help; a bad key is not retriable.
    """

    def __init__(self, message: str, *, provider: str, retriable: bool = True) -> None:
        super().__init__(message)
        self.provider = provider
        self.retriable = retriable


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


class StreamingError(MarketstreamError):
    """The Spark query can't start or can't go on."""


class LaunchError(MarketstreamError):
    """A service can't be started; the message names the service and the way out."""
