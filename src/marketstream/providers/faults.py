"""Says why provider data was refused: from validation errors to `Reason`s, in the provider's own field names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json

from marketstream.domain.outcomes import Reason, Rejected

_SYMBOL = re.compile(r"[\x21-\x7e]{1,32}")
_SHAPE_ERRORS = {"json_invalid", "dict_type", "list_type"}
_RANGE_ERRORS = {"greater_than", "greater_than_equal", "less_than_equal"}
_MAX_FAULTS_TOLD = 5


@dataclass(frozen=True, slots=True)
class Source:
    """Whose data is refused and when it came."""

    provider: str
    received_time_us: int

    def rejected(self, raw: bytes, reason: Reason, detail: str, symbol: str | None = None) -> Rejected:
        """The refusal of `raw`."""
        return Rejected(
            raw=raw,
            reason=reason,
            detail=detail,
            provider=self.provider,
            received_time_us=self.received_time_us,
            symbol=symbol,
        )


def explain(error: ValidationError, range_reasons: Mapping[str, Reason]) -> tuple[Reason, str]:
    """Names the fault behind a validation error, the most telling of several, without quoting the input.

    Args:
        error: What pydantic found.
        range_reasons: By wire field, what a number out of its range means.
    """
    faults = error.errors(include_input=False, include_url=False, include_context=False)
    told = "; ".join(
        ".".join(map(str, fault["loc"])) + f": {fault['msg']}" if fault["loc"] else fault["msg"]
        for fault in faults[:_MAX_FAULTS_TOLD]
    )
    reasons = [_reason(fault, range_reasons) for fault in faults]
    return next((reason for reason in reasons if reason is not Reason.INVALID_FIELD), Reason.INVALID_FIELD), told


def _reason(fault: ErrorDetails, range_reasons: Mapping[str, Reason]) -> Reason:
    field = str(fault["loc"][-1]) if fault["loc"] else ""
    if fault["type"] == "json_invalid" or (fault["type"] in _SHAPE_ERRORS and not field):
        return Reason.MALFORMED
    if fault["type"] == "finite_number":
        return Reason.NOT_FINITE
    if fault["type"] in _RANGE_ERRORS:
        return range_reasons.get(field, Reason.INVALID_FIELD)
    return Reason.INVALID_FIELD


def number_reason(price: float, size: float) -> Reason:
    """Why `Tick` refuses these numbers, for providers that send them as text."""
    if not (isfinite(price) and isfinite(size)):
        return Reason.NOT_FINITE
    if price <= 0:
        return Reason.NON_POSITIVE_PRICE
    return Reason.NEGATIVE_SIZE if size < 0 else Reason.INVALID_FIELD


def read_symbol(raw: bytes, *path: str) -> str | None:
    """The symbol in data that is otherwise refused, upper case; None where it can't be read.

    Args:
        raw: The refused JSON.
        path: The keys that lead to the symbol.
    """
    try:
        value = from_json(raw)
    except ValueError:
        return None
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value.upper() if isinstance(value, str) and _SYMBOL.fullmatch(value) else None
