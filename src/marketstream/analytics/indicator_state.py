"""How the state of an indicator calculator is kept as bytes: a header, then doubles; little-endian and exact."""

import sys
from array import array
from struct import Struct

from marketstream.domain.errors import MarketstreamError

_FORMAT = 2
# Format, the parameters' fingerprint, number of bars, and the newest one's version.
_HEADER = Struct("<B8sqq?qq?q")
_NONE = (0, False, 0, 0, False, 0)
Version = tuple[int, bool, int, int, bool, int]


class IndicatorStateError(MarketstreamError):
    """A saved state is unreadable or of other parameters; warm the indicators from history instead."""


def pack_state(fingerprint: bytes, count: int, newest: Version | None, numbers: "array[float]") -> bytes:
    """The bytes of a state.

    Args:
        fingerprint: Of the parameters, eight bytes.
        count: How many bars have closed.
        newest: The version of the last of them.
        numbers: Everything else; the caller's no more.
    """
    return _HEADER.pack(_FORMAT, fingerprint, count, *(newest or _NONE)) + _little_endian(numbers).tobytes()


def unpack_state(state: bytes, fingerprint: bytes) -> tuple[int, Version | None, "array[float]"]:
    """Count, newest version and numbers of a state of the parameters with this fingerprint.

    Raises:
        IndicatorStateError: It is of another format or other parameters, or cut off.
    """
    numbers = array("d")
    if len(state) < _HEADER.size or (len(state) - _HEADER.size) % numbers.itemsize:
        raise IndicatorStateError(f"{len(state)} bytes are no state of indicators; warm from history instead")
    version, owner, count, *newest = _HEADER.unpack_from(state)
    if version != _FORMAT:
        raise IndicatorStateError(f"a state of format {version}, not {_FORMAT}; warm from history instead")
    if owner != fingerprint:
        raise IndicatorStateError("the state is of other parameters; warm from history instead")
    numbers.frombytes(state[_HEADER.size :])
    start_us, made_here, seen, cancelled, final, revision = newest
    return count, (start_us, made_here, seen, cancelled, final, revision) if count else None, _little_endian(numbers)


def _little_endian(numbers: "array[float]") -> "array[float]":
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
