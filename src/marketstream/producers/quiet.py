"""Which single symbols are suspiciously quiet while their connection goes on. Pure; the time is passed in."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(slots=True)
class _Symbol:
    """What is known of one symbol.

    Attributes:
        newest_us: Event time of its newest trade.
        since: Since when that is so.
        doubted: Whether it was told once that more had happened.
    """

    newest_us: int
    since: float
    doubted: bool = False


class QuietSymbols:
    """Says which symbol to ask about next, and what the answers mean.

    A symbol without a trade yet is left alone: nothing tells that it should have one.

    Args:
        limit_seconds: How long a symbol may be quiet before it is asked about, and how long between two questions.
    """

    def __init__(self, limit_seconds: float) -> None:
        self._limit = limit_seconds
        self._symbols: dict[str, _Symbol] = {}

    def next(self, newest_us: Mapping[str, int | None], now: float) -> str | None:
        """The symbol that has been quiet, or unasked, for longest; None where none is quiet.

        Args:
            newest_us: Event time of every symbol's newest trade.
            now: Seconds of any steady clock.
        """
        for symbol, time_us in newest_us.items():
            known = self._symbols.get(symbol)
            if time_us is not None and (known is None or known.newest_us != time_us):
                self._symbols[symbol] = _Symbol(time_us, now)
        quiet = [(known.since, symbol) for symbol, known in self._symbols.items() if now - known.since >= self._limit]
        return min(quiet)[1] if quiet else None

    def answered(self, symbol: str, *, is_missing: bool, now: float) -> bool:
        """Whether the symbol is dead: told twice to have gone on, and nothing of it came in between."""
        known = self._symbols[symbol]
        dead = is_missing and known.doubted
        self._symbols[symbol] = _Symbol(known.newest_us, now, doubted=is_missing)
        return dead
