"""Where a query with a fresh checkpoint begins to read, and which bars that cuts.

Reads: `<data_dir>/checkpoints/<query>/current.json`. Needs no Spark.
"""

import time
from collections.abc import Collection, Mapping
from pathlib import Path

import orjson

from marketstream.domain.interval import Interval

_MARGIN_US = 60_000_000  # of clocks that differ, and of trades that were longer under way than others


def start_in_words(source_options: Mapping[str, str]) -> str:
    """Where a query with these source options begins to read."""
    start_us = _start_us(source_options)
    return "reading from the beginning" if start_us is None else f"reading what was received since {_iso(start_us)}"


def added_since(
    source_options: Mapping[str, str], wanted: Collection[str], earlier: Collection[str], known: Mapping[str, int]
) -> dict[str, int]:
    """Intervals of which a cut bar would have no better stored version, each with where its whole bars begin, µs UTC.

    Args:
        source_options: Where the query begins to read.
        wanted: Names of its intervals.
        earlier: Those of the checkpoint before.
        known: What this said of that one.
    """
    start_us = _start_us(source_options)
    if start_us is None:
        return {}
    # A bar that was left out may be read once more, up to a start that no longer reaches into it.
    still = {name: since for name, since in known.items() if start_us < since + 2 * Interval.parse(name).us}
    added = {name: start_us + _MARGIN_US for name in wanted if name not in earlier}
    return added | {name: still[name] for name in wanted if name in earlier and name in still}


def read_since_us(folder: Path) -> int | None:
    """When what a query's state holds began to be received, µs UTC; None where it is everything, or can't be told.

    Args:
        folder: `<data_dir>/checkpoints/<query>`.
    """
    try:
        return _start_us(orjson.loads((folder / "current.json").read_bytes())["source_options"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # none yet, on another machine, or damaged, as its query says at its start


def since_in_words(since_us: Mapping[str, int]) -> str:
    """What such a start leaves out, behind where it begins; empty for nothing."""
    return "".join(f", bars of {name} from {_iso(time_us)} on" for name, time_us in sorted(since_us.items()))


def _start_us(source_options: Mapping[str, str]) -> int | None:
    start = source_options.get("startingTimestamp")
    return int(start) * 1_000 if start else None


def _iso(time_us: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time_us / 1_000_000))
