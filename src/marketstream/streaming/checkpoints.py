"""Versioned checkpoints: each belongs to one shape of query, and a query of another shape starts a fresh one.

Layout under `<data_dir>/checkpoints/<query>/`: `current.json` names the folder in use and the shape it was made for;
`lock` is held by the query while it runs.

A fresh checkpoint after an earlier one starts reading where every bar that could still change began: the earlier one's
last commit, less the longest interval and the lateness, by the time messages were received. Bars cut by that point
come out with fewer trades than their stored versions, which readers therefore keep. Of an interval that the earlier one
did not have there are none: its bars that began before that point are left out, then and later (`since_us`). Without an
earlier one it starts at the oldest message, or, for a query that gets its past from elsewhere, where bars still open
now began.
"""

import calendar
import fcntl
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from marketstream.domain.errors import StreamingError
from marketstream.streaming.checkpoint_files import last_commit
from marketstream.streaming.checkpoint_starts import added_since, since_in_words, start_in_words

_MARGIN_SECONDS = 120.0
_LOCK_POLL_SECONDS = 0.2
_STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class QueryShape:
    """What a checkpoint depends on. A change in any field makes an old checkpoint unreadable or wrong.

    Attributes:
        transform_version: Raised whenever the aggregation's state changes.
        mode: `realtime` or `microbatch`.
        intervals: Names of the bar intervals.
        source_partitions: Partitions of the source topic.
        shuffle_partitions: Partitions of the state.
        source: Identity of the source topic; one created anew has other offsets. Of several, with spaces between, the
            first is common to all intervals and the others are theirs, in the same order.
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
        since_us: By interval, what was received before is not all in the state, nor in an earlier version of the bars.
    """

    path: Path
    source_options: Mapping[str, str]
    reason: str
    since_us: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Choice:
    """What a start with some shape would do.

    Attributes:
        resumes: It would go on from the current checkpoint; else begin a fresh one.
        changes: What differs between the shape that the current one was made for and the one now wanted.
        source_options: As in `Checkpoint`.
        reason: In words, with where it would read from.
    """

    resumes: bool
    changes: tuple[str, ...]
    source_options: Mapping[str, str]
    reason: str


@dataclass(frozen=True, slots=True)
class Pointer:
    """What `current.json` holds.

    Attributes:
        folder: Name of the checkpoint's folder; begins with the time it was made at.
        shape: What it was made for.
        source_options: Where it began to read.
        since_us: As in `Checkpoint`, µs UTC.
    """

    folder: str
    shape: QueryShape
    source_options: dict[str, str]
    since_us: dict[str, int] = field(default_factory=dict)

    @property
    def made_ms(self) -> int:
        """When the checkpoint was made, ms UTC."""
        return calendar.timegm(time.strptime(self.folder.partition("-")[0], _STAMP)) * 1_000


_POINTER = TypeAdapter(Pointer)
_OLDEST = {"startingOffsets": "earliest"}


class CheckpointStore:
    """The checkpoints of one query.

    Args:
        folder: Where they live; made when first needed.
        reach_back_seconds: How far before the last commit a bar that can still change may begin.
        has_past: The very first checkpoint need not read what is older than that: the query knows its past.
    """

    def __init__(self, folder: Path, *, reach_back_seconds: float, has_past: bool = False) -> None:
        self.folder, self._has_past = folder, has_past
        self._reach_back_ms = int((reach_back_seconds + _MARGIN_SECONDS) * 1_000)

    def open(self, shape: QueryShape) -> Checkpoint:
        """Returns the current checkpoint if it fits `shape`, else a fresh one that takes its place.

        Raises:
            StreamingError: `current.json` can't be read.
        """
        choice, current = self.choose(shape), self.current()
        if choice.resumes and current is not None:
            path = self.folder / current.folder
            return Checkpoint(path, choice.source_options, choice.reason, current.since_us)
        return self._fresh(shape, choice.source_options, choice.reason)

    def choose(self, shape: QueryShape) -> Choice:
        """What `open` would do now; nothing is changed.

        Raises:
            StreamingError: `current.json` can't be read.
        """
        current = self.current()
        if current is None:
            options = self._start_after(None, shape)
            return Choice(False, (), options, f"no earlier checkpoint; {start_in_words(options)}")
        if current.shape == shape and (self.folder / current.folder).is_dir():
            return Choice(True, (), current.source_options, f"resuming checkpoint {current.folder}")
        earlier, wanted = asdict(current.shape), asdict(shape)
        changes = tuple(f"{name} {earlier[name]} → {wanted[name]}" for name in wanted if earlier[name] != wanted[name])
        options = self._start_after(current, shape)
        unfit = f"the earlier checkpoint does not fit: {', '.join(changes) or 'it is gone'}"
        added = since_in_words(_added(current, shape, options))
        return Choice(False, changes, options, f"{unfit}; {start_in_words(options)}{added}")

    def rotate(self, shape: QueryShape, why: str) -> Checkpoint:
        """Replaces the current checkpoint by a fresh one, to shed the state of bars long past."""
        options = self._start_after(self.current(), shape)
        return self._fresh(shape, options, f"{why}; {start_in_words(options)}")

    def after_reset(self, *, from_oldest: bool) -> Mapping[str, str]:
        """Where the start after a `reset` would read from, as source options.

        Raises:
            StreamingError: `current.json` can't be read.
        """
        current = self.current()
        return _OLDEST if from_oldest and current else self._start_after(current, current.shape if current else None)

    def reset(self, *, from_oldest: bool = False) -> None:
        """Throws the current checkpoint's state and offsets away.

        Args:
            from_oldest: The next start reads all that the topics have, not just from where open bars began.

        Raises:
            StreamingError: `current.json` can't be read, so that nothing tells where open bars began.
        """
        current = self.current()
        if current is not None:
            self._fresh(current.shape, self.after_reset(from_oldest=from_oldest), "reset")

    def first_start(self) -> Mapping[str, str]:
        """Where the very first start reads from, as source options."""
        return self._start_before(time.time_ns() // 1_000_000) if self._has_past else _OLDEST

    def discard(self) -> None:
        """Removes everything, a damaged `current.json` too: the next start is the very first."""
        (self.folder / "current.json").unlink(missing_ok=True)
        self._remove_but(None)

    @contextmanager
    def held(self, *, patience_seconds: float = 15.0) -> Iterator[None]:
        """Keeps others from these checkpoints while the block runs, and tells them that the query runs.

        Args:
            patience_seconds: How long another one, which may have been killed a moment ago, is given to end.

        Raises:
            StreamingError: Another process holds them.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            deadline = time.monotonic() + patience_seconds
            while not _try_lock(lock.fileno()):
                if time.monotonic() > deadline:
                    raise StreamingError(f"another {self.folder.name} query runs on {self.folder}: stop it first")
                time.sleep(_LOCK_POLL_SECONDS)
            yield

    def in_use(self) -> bool:
        """Whether a query runs on these checkpoints now."""
        path = self.folder / "lock"
        if not path.exists():
            return False
        with path.open("r") as lock:
            return not _try_lock(lock.fileno())

    def current(self) -> Pointer | None:
        """What `current.json` holds; None before the first start.

        Raises:
            StreamingError: It can't be read.
        """
        pointer = self.folder / "current.json"
        if not pointer.exists():
            return None
        try:
            return _POINTER.validate_json(pointer.read_bytes())
        except ValidationError as error:
            raise StreamingError(
                f"{pointer} is damaged; `marketstream checkpoints reset {self.folder.name}` removes it, "
                "and the query begins as if for the first time"
            ) from error

    def _fresh(self, shape: QueryShape, options: Mapping[str, str], reason: str) -> Checkpoint:
        self.folder.mkdir(parents=True, exist_ok=True)
        since_us = _added(self.current(), shape, options)
        path = Path(tempfile.mkdtemp(prefix=time.strftime(f"{_STAMP}-", time.gmtime()), dir=self.folder))
        pointer = self.folder / "current.json"
        written = pointer.with_suffix(".tmp")
        written.write_bytes(_POINTER.dump_json(Pointer(path.name, shape, dict(options), since_us)))
        written.replace(pointer)
        self._remove_but(path)
        return Checkpoint(path, options, reason, since_us)

    def _remove_but(self, kept: Path | None) -> None:
        if self.folder.is_dir():
            for old in self.folder.iterdir():
                if old.is_dir() and old != kept:
                    shutil.rmtree(old)

    def _start_after(self, earlier: Pointer | None, shape: QueryShape | None) -> Mapping[str, str]:
        if earlier is None or shape is None or not _same_topics(earlier.shape, shape):
            return self.first_start()
        commit = last_commit(self.folder / earlier.folder)
        # One that never got anywhere has a start of its own, which still holds.
        return self._start_before(commit.time_ms) if commit else earlier.source_options

    def _start_before(self, moment_ms: int) -> dict[str, str]:
        start_ms = moment_ms - self._reach_back_ms
        return {"startingTimestamp": str(start_ms), "startingOffsetsByTimestampStrategy": "latest"}


def _same_topics(earlier: QueryShape, wanted: QueryShape) -> bool:
    """Whether the topics that both read are the same ones, and none was created anew."""
    before, now = _topics(earlier), _topics(wanted)
    return all(before[name] == now[name] for name in before.keys() & now.keys())


def _topics(shape: QueryShape) -> dict[str, str]:
    """Identities of the source topics, by interval; of the one for all by an empty name."""
    return dict(zip(("", *shape.intervals), shape.source.split(" "), strict=False))


def _added(earlier: Pointer | None, shape: QueryShape, source_options: Mapping[str, str]) -> dict[str, int]:
    if earlier is None:
        return {}
    return added_since(source_options, shape.intervals, earlier.shape.intervals, earlier.since_us)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
