"""The error tree: one root, and a message even where none is given."""

import inspect

import pytest

from marketstream.domain import errors

ALL = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, Exception)]


@pytest.mark.parametrize("cls", ALL)
def test_everything_raised_on_purpose_has_one_root(cls: type) -> None:
    assert issubclass(cls, errors.MarketstreamError)


def test_an_error_without_a_message_says_its_class_docstring() -> None:
    assert str(errors.LaunchError()) == "A service can't be started; the message names the service and the way out."


def test_errors_carry_what_a_caller_needs() -> None:
    refused = errors.ProviderError("bad key", provider="polygon", fault=errors.Fault.BAD_KEY)
    assert (str(refused), refused.provider, refused.retriable) == ("bad key", "polygon", False)
    assert errors.BusBackpressureError(0.25).retry_after_seconds == 0.25
