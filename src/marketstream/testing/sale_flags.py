"""Sale conditions of trade files, which are flags, as Massive's (Polygon's) numbers, and back.

The flags are those of AlgoSeek's recordings as QuantConnect LEAN names them (`TradeConditionFlags`). A flag without a
number, such as the undocumented one, is left out.
"""

from collections.abc import Iterable
from functools import lru_cache

from marketstream.domain.errors import ConfigurationError

_OUT_OF_SEQUENCE, _SOLD, _EXTENDED_HOURS = 1 << 14, 1 << 11, 1 << 13
# What two flags say together comes first: it takes both.
_NUMBERS = {
    _EXTENDED_HOURS | _OUT_OF_SEQUENCE: 13,
    _SOLD | _OUT_OF_SEQUENCE: 32,
    _OUT_OF_SEQUENCE: 32,
    1 << 0: 0,  # regular
    1 << 1: 7,  # cash
    1 << 2: 20,  # next day
    1 << 3: 29,  # seller
    1 << 4: 36,  # yellow flag
    1 << 5: 14,  # intermarket sweep
    1 << 6: 25,  # opening prints
    1 << 7: 8,  # closing prints
    1 << 8: 28,  # re-opening prints
    1 << 9: 10,  # derivatively priced
    _EXTENDED_HOURS: 12,
    1 << 10: 12,  # form T
    _SOLD: 30,  # sold last
    1 << 12: 27,  # stopped stock
    1 << 15: 34,  # split
    1 << 16: 1,  # acquisition
    1 << 17: 4,  # bunched
    1 << 18: 52,  # stock-option, now called contingent
    1 << 19: 11,  # distribution
    1 << 20: 2,  # average price
    1 << 21: 9,  # cross
    1 << 22: 21,  # price variation
    1 << 23: 23,  # rule 155
    1 << 24: 15,  # official close
    1 << 25: 22,  # prior reference price
    1 << 26: 16,  # official open
    1 << 27: 6,  # CAP election
    1 << 28: 3,  # automatic execution
    1 << 29: 41,  # trade through exempt
    1 << 31: 37,  # odd lot
}
_FLAGS: dict[int, int] = {}
for _mask, _number in _NUMBERS.items():
    _FLAGS.setdefault(_number, _mask)


@lru_cache(maxsize=4_096)
def conditions_of(flags: int) -> tuple[int, ...]:
    """The numbers of a file's flags, rising."""
    numbers = set()
    for mask, number in _NUMBERS.items():
        if flags & mask == mask:
            numbers.add(number)
            flags &= ~mask
    return tuple(sorted(numbers))


def flags_of(conditions: Iterable[int]) -> int:
    """The flags that are read as these numbers.

    Raises:
        ConfigurationError: A number has no flag.
    """
    flags = 0
    for number in conditions:
        if number not in _FLAGS:
            raise ConfigurationError(f"sale condition {number} has no flag in a trade file")
        flags |= _FLAGS[number]
    return flags
