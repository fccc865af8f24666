"""What became of a piece of provider data: a market value, or a `Rejected` with its reason. Bad data is no error."""

from dataclasses import dataclass
from enum import StrEnum

from marketstream.domain.market import Bar, Cancel, Quote, Tick


class Reason(StrEnum):
    """Why something was refused; the value is what the dead-letter topic and the metrics carry."""

    MALFORMED = "malformed"  # no JSON, or not the provider's shape
    INVALID_FIELD = "invalid_field"  # JSON of the right shape with a missing field or a wrong type
    NOT_FINITE = "not_finite"
    NON_POSITIVE_PRICE = "non_positive_price"
    NEGATIVE_SIZE = "negative_size"
    INCONSISTENT_BAR = "inconsistent_bar"  # low <= open, close <= high does not hold
    UNKNOWN_SYMBOL = "unknown_symbol"
    TIME_OUT_OF_RANGE = "time_out_of_range"  # more than a day ahead of now, or before 1990
    LATE = "late"  # further behind its symbol's newest event time than the allowed lateness
    OVERSIZED = "oversized"
    UNDECODABLE = "undecodable"  # on one of our own topics, yet not of its schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Provider data refused at the door.

    Attributes:
        raw: The bytes as received; for one element of an array frame, that element.
        reason: The class of fault.
        detail: What exactly was wrong, for a person.
        provider: Whose data it was.
        received_time_us: When its frame left our socket.
        symbol: The symbol, where it could be read.
    """

    raw: bytes
    reason: Reason
    detail: str
    provider: str
    received_time_us: int
    symbol: str | None = None


Parsed = Tick | Quote | Bar | Cancel | Rejected
