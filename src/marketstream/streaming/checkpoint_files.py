"""What Spark keeps in a checkpoint's folder, as far as it tells how far its query has got.

Reads: `<checkpoint>/commits`, `<checkpoint>/offsets`; the topics' starts.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from marketstream.bus.inspector import KafkaInspector, Position
from marketstream.domain.errors import StreamingError
from marketstream.streaming.source_lag import processed_positions

_HEADER_LINES = 2  # the log's version, then the batch's own settings
_NO_OFFSET = "-"


@dataclass(frozen=True, slots=True)
class Commit:
    """A batch that is done.

    Attributes:
        batch: Its number.
        time_ms: When it was done, ms UTC.
    """

    batch: int
    time_ms: int


def last_commit(path: Path) -> Commit | None:
    """The newest batch that is done; None before the first."""
    commits = [entry for entry in (path / "commits").glob("*") if entry.name.isdigit()]
    found = [Commit(int(entry.name), int(entry.stat().st_mtime * 1_000)) for entry in commits]
    return max(found, key=lambda commit: commit.batch, default=None)


def committed_positions(path: Path, commit: Commit) -> dict[Position, int]:
    """The next offset of each topic and partition after a batch.

    Raises:
        StreamingError: Spark's log of offsets can't be read.
    """
    log = path / "offsets" / str(commit.batch)
    try:
        lines = log.read_text().splitlines()[_HEADER_LINES:]
        return processed_positions(line for line in lines if line != _NO_OFFSET)
    except (OSError, json.JSONDecodeError, AttributeError, ValueError) as error:
        raise StreamingError(f"{log} can't be read: {error}") from error


def dropped_messages(path: Path, inspector: KafkaInspector) -> int:
    """How many messages after the newest batch the topics have no longer, so that the query will never read them.

    Args:
        path: The checkpoint's folder.
        inspector: Knows the topics' starts.

    Raises:
        BusError: The broker is away.
        StreamingError: Spark's log of offsets can't be read.
    """
    commit = last_commit(path)
    if commit is None:
        return 0
    positions = committed_positions(path, commit)
    starts = inspector.starts({topic for topic, _ in positions})
    return sum(max(0, starts.get(position, offset) - offset) for position, offset in positions.items())


def size_bytes(path: Path) -> int:
    """Of all files below; those that Spark removes meanwhile count nothing."""
    total = 0
    for entry in path.rglob("*"):
        try:
            total += entry.stat().st_size if entry.is_file() else 0
        except FileNotFoundError:
            continue
    return total
