"""Why a row of a REST answer, or a frame, was refused; and rows of bars, refused one by one."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from marketstream.domain.market import Bar
from marketstream.domain.outcomes import Parsed, Reason
from marketstream.providers.bars import BarError
from marketstream.providers.faults import Source, explain
from marketstream.providers.times import TimeRangeError


def reason_of(error: ValueError, range_reasons: Mapping[str, Reason]) -> tuple[Reason, str]:
    """The class of fault behind an error of validation, of a time, of a bar or of any other value, and its words.

    Args:
        error: What was raised.
        range_reasons: By wire field, what a number out of its range means.
    """
    if isinstance(error, ValidationError):
        return explain(error, range_reasons)
    if isinstance(error, TimeRangeError):
        return Reason.TIME_OUT_OF_RANGE, str(error)
    return (error.reason if isinstance(error, BarError) else Reason.INVALID_FIELD), str(error)


def bar_of_row(row: Any, read: Callable[[Any], Bar], source: Source, symbol: str) -> Parsed:
    """The row's bar, or its refusal.

    Args:
        row: A part of a JSON answer.
        read: Makes the bar; raises `ValueError` or one of its kinds where it can't.
        source: Whose row and when it came.
        symbol: Canonical symbol.
    """
    try:
        return read(row)
    except ValueError as error:
        return source.rejected(to_json(row), *reason_of(error, {}), symbol)
