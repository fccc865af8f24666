"""Reads what a link asks a page to show; what is absent or wrong gets its default, and a sentence says what was."""

import difflib
from collections.abc import Sequence
from urllib.parse import parse_qs

_MOST_SHOWN = 64


class Asked:
    """A link's query string.

    Args:
        query: Such as `?symbol=BTCUSDT&window=1min`.
    """

    def __init__(self, query: str) -> None:
        self._asked = {
            name: values[-1] for name, values in parse_qs(query.removeprefix("?"), keep_blank_values=True).items()
        }
        self._faults: list[str] = []

    @property
    def fault(self) -> str | None:
        """What in the link was wrong, so far as it was read; None where nothing was."""
        return " ".join(self._faults) or None

    def text(self, name: str, default: str = "", *, most: int = 64) -> str:
        """A word that can be anything."""
        return self._asked.get(name, default)[:most]

    def one(self, name: str, known: Sequence[str], default: str, *, upper: bool = False) -> str:
        """One of those that are known."""
        value = self._asked.get(name) or None
        value = value.upper() if value and upper else value
        if value is None or value in known:
            return value or default
        self._note(name, value, known)
        return default

    def some(self, name: str, known: Sequence[str], default: Sequence[str]) -> tuple[str, ...]:
        """Any number of those that are known, parted by commas, in their own order."""
        value = self._asked.get(name)
        if value is None:
            return tuple(default)
        wanted = {each for each in value.split(",") if each}
        for stranger in sorted(wanted - set(known)):
            self._note(name, stranger, known)
        return tuple(each for each in known if each in wanted)

    def _note(self, name: str, value: str, known: Sequence[str]) -> None:
        near = difflib.get_close_matches(value, known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        self._faults.append(f"The link names a {name} that is not known here: {value[:_MOST_SHOWN]}.{hint}")
