"""Keeps bars and their indicators in InfluxDB from going backwards, where the last write wins whatever it holds."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from typing import Generic

from marketstream.domain.indicators import Indicators
from marketstream.domain.market import Bar
from marketstream.storage.decoding import BarKey, Versioned

# `Bar.version` without the start: (made here, trades seen, of these taken out, final, revision).
Version = tuple[bool, int, int, bool, int]
Lookup = Callable[[Collection[BarKey]], Mapping[BarKey, Version]]


class VersionGuard(Generic[Versioned]):
    """Remembers the newest stored version of the bars (or indicators) met lately and lets only newer ones pass.

    A bar not remembered may have been stored by an earlier process, and a replay may bring an older version of it: then
    the store is asked, once per bar.

    Args:
        stored: Asks the store for the versions it holds of these bars.
        equals_pass: Whether the same version again may pass.
        capacity: How many bars to remember.
    """

    def __init__(self, stored: Lookup, *, equals_pass: bool = False, capacity: int = 100_000) -> None:
        self._stored = stored
        self._equals_pass = equals_pass
        self._capacity = capacity
        self._versions: OrderedDict[BarKey, Version | None] = OrderedDict()

    def newer(self, bars: Mapping[BarKey, Versioned]) -> dict[BarKey, Versioned]:
        """Those of the bars that the store has not, or has in an older version."""
        unknown = [key for key in bars if key not in self._versions]
        if unknown:
            self._versions.update(dict.fromkeys(unknown))
            self._versions.update(self._stored(unknown))
        return {key: bar for key, bar in bars.items() if self._passes(bar, self._versions[key])}

    def remember(self, bars: Mapping[BarKey, Versioned]) -> None:
        """Takes note of what was stored just now."""
        for key, bar in bars.items():
            self._versions[key] = version_of(bar)
            self._versions.move_to_end(key)
        while len(self._versions) > self._capacity:
            self._versions.popitem(last=False)

    def _passes(self, bar: Versioned, stored: Version | None) -> bool:
        return stored is None or version_of(bar) > stored or (self._equals_pass and version_of(bar) == stored)


def version_of(bar: Bar | Indicators) -> Version:
    """What orders the versions of one bar."""
    return bar.version[1:]
