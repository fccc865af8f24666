"""Versioned checkpoints: each belongs to one shape of query, and a query of another shape starts a fresh one.

Layout under `<data_dir>/checkpoints/<query>/`: `current.json` names the folder in use and the shape it was made for.

A fresh checkpoint after an earlier one starts reading where every bar that could still change began: the earlier one's
last commit, less the longest interval and the lateness, by the time messages were received. Bars cut by that point
come out with fewer trades than their stored versions, which readers therefore keep. Without an earlier one it starts at
the oldest message, or, for a query that gets its past from elsewhere, where bars still open now began.
"""

import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from marketstream.domain.errors import StreamingError

_MARGIN_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class QueryShape:
    """What a checkpoint depends on. A change in any field makes an old checkpoint unreadable or wrong.

    Attributes:
        transform_version: Raised whenever the aggregation's state changes.
        mode: `realtime` or `microbatch`.
        intervals: Names of the bar intervals.
        source_partitions: Partitions of the source topic.
        shuffle_partitions: Partitions of the state.
        source: Identity of the source topic, or topics; one created anew has other offsets.
        parameters: Whatever else the state depends on.
    """

    transform_version: int
    mode: str
    intervals: tuple[str, ...]
    source_partitions: int
    shuffle_partitions: int
    source: str
    parameters: str = ""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a query keeps its state and where it starts.

    Attributes:
        path: The checkpoint's folder.
        source_options: Kafka source options that set the start; Spark reads them only while the folder is empty.
        reason: Why this one was chosen, for the log.
    """

    path: Path
    source_options: Mapping[str, str]
    reason: str


@dataclass(frozen=True, slots=True)
class _Pointer:
    folder: str
    shape: QueryShape
    source_options: dict[str, str]


_POINTER = TypeAdapter(_Pointer)
_OLDEST = {"startingOffsets": "earliest"}


class CheckpointStore:
    """The checkpoints of one query.

    Args:
        folder: Where they live; made when first needed.
        reach_back_seconds: How far before the last commit a bar that can still change may begin.
        has_past: The very first checkpoint need not read what is older than that: the query knows its past.
    """

    def __init__(self, folder: Path, *, reach_back_seconds: float, has_past: bool = False) -> None:
        self._folder, self._has_past = folder, has_past
        self._reach_back_ms = int((reach_back_seconds + _MARGIN_SECONDS) * 1_000)

    def open(self, shape: QueryShape) -> Checkpoint:
        """Returns the current checkpoint if it fits `shape`, else a fresh one that takes its place.

        Raises:
            StreamingError: `current.json` can't be read.
        """
        current = self._current()
        if current is None:
            return self._fresh(shape, None, "no earlier checkpoint")
        path = self._folder / current.folder
        if current.shape == shape and path.is_dir():
            return Checkpoint(path, current.source_options, f"resuming checkpoint {current.folder}")
        earlier, wanted = asdict(current.shape), asdict(shape)
        changes = [f"{name} {earlier[name]} → {wanted[name]}" for name in wanted if earlier[name] != wanted[name]]
        return self._fresh(shape, current, f"the earlier checkpoint does not fit: {', '.join(changes) or 'it is gone'}")

    def rotate(self, shape: QueryShape, why: str) -> Checkpoint:
        """Replaces the current checkpoint by a fresh one, to shed the state of bars long past."""
        return self._fresh(shape, self._current(), why)

    def _current(self) -> _Pointer | None:
        pointer = self._folder / "current.json"
        if not pointer.exists():
            return None
        try:
            return _POINTER.validate_json(pointer.read_bytes())
        except ValidationError as error:
            raise StreamingError(
                f"{pointer} is damaged; remove the folder {self._folder} and the query begins as if for the first time"
            ) from error

    def _fresh(self, shape: QueryShape, earlier: _Pointer | None, reason: str) -> Checkpoint:
        options = (
            self._start_after(earlier) if earlier and earlier.shape.source == shape.source else self._first_start()
        )
        start = options.get("startingTimestamp")
        reason += f"; reading what was received since {_iso(int(start))}" if start else "; reading from the beginning"
        self._folder.mkdir(parents=True, exist_ok=True)
        path = Path(tempfile.mkdtemp(prefix=time.strftime("%Y%m%dT%H%M%SZ-", time.gmtime()), dir=self._folder))
        pointer = self._folder / "current.json"
        written = pointer.with_suffix(".tmp")
        written.write_bytes(_POINTER.dump_json(_Pointer(path.name, shape, options)))
        written.replace(pointer)
        for old in self._folder.iterdir():
            if old.is_dir() and old != path:
                shutil.rmtree(old)
        return Checkpoint(path, options, reason)

    def _start_after(self, earlier: _Pointer) -> dict[str, str]:
        commit_ms = _last_commit_ms(self._folder / earlier.folder)
        if commit_ms is None:  # it never got anywhere, so its own start still holds
            return earlier.source_options
        return self._start_before(commit_ms)

    def _first_start(self) -> dict[str, str]:
        return self._start_before(time.time_ns() // 1_000_000) if self._has_past else _OLDEST

    def _start_before(self, moment_ms: int) -> dict[str, str]:
        start_ms = moment_ms - self._reach_back_ms
        return {"startingTimestamp": str(start_ms), "startingOffsetsByTimestampStrategy": "latest"}


def _last_commit_ms(path: Path) -> int | None:
    commits = [entry for entry in (path / "commits").glob("*") if entry.name.isdigit()]
    return max((int(entry.stat().st_mtime * 1_000) for entry in commits), default=None)


def _iso(time_ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time_ms / 1_000))
