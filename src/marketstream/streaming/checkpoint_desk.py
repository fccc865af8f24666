"""Looks at the queries' checkpoints from outside, explains what a start would do with them, and resets them.

Reads: `<data_dir>/checkpoints`, the topics' ends. Writes: a fresh checkpoint in the place of one that is reset.
"""

from dataclasses import dataclass

from marketstream.bus.inspector import KafkaInspector, Position
from marketstream.domain.errors import BusError, ConfigurationError, StreamingError
from marketstream.settings import Settings
from marketstream.streaming.checkpoint_files import Commit, committed_positions, last_commit, size_bytes
from marketstream.streaming.checkpoint_starts import start_in_words
from marketstream.streaming.checkpoints import CheckpointStore, Choice, Pointer, QueryShape
from marketstream.streaming.queries import QUERIES


@dataclass(frozen=True, slots=True)
class SourcePosition:
    """How far one partition has been taken in.

    Attributes:
        topic: Of the source.
        partition: Its number.
        processed: The next offset after the newest batch that is done.
        end: The next offset that the broker will give; None where it is away.
    """

    topic: str
    partition: int
    processed: int
    end: int | None

    @property
    def behind(self) -> int | None:
        """Messages not taken in."""
        return None if self.end is None else max(0, self.end - self.processed)


@dataclass(frozen=True, slots=True)
class CheckpointState:
    """One query's checkpoint now.

    Attributes:
        query: The query's name.
        running: Whether the query runs.
        folder: The checkpoint's folder; empty without one.
        pointer: What it was made for; None without one.
        size_bytes: Of its files.
        commit: Its newest batch; None before the first.
        positions: How far that batch got in each partition.
        damage: What can't be read; empty where all can.
    """

    query: str
    running: bool
    folder: str = ""
    pointer: Pointer | None = None
    size_bytes: int = 0
    commit: Commit | None = None
    positions: tuple[SourcePosition, ...] = ()
    damage: str = ""

    @property
    def behind(self) -> int | None:
        """Messages not taken in; None where nothing tells."""
        each = [position.behind for position in self.positions]
        return None if not each or None in each else sum(filter(None, each))


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a start with the current settings would do.

    Attributes:
        query: The query's name.
        running: Whether it runs.
        made_for: The shape of the current checkpoint; None without one.
        wanted: What the settings and the broker want now.
        choice: Resume or replace, and why.
    """

    query: str
    running: bool
    made_for: QueryShape | None
    wanted: QueryShape
    choice: Choice


class CheckpointDesk:
    """Answers about checkpoints.

    Args:
        settings: Where they are, and what the queries should be.
        inspector: Knows the topics' ends.
    """

    def __init__(self, settings: Settings, inspector: KafkaInspector) -> None:
        self._settings, self._inspector = settings, inspector

    def states(self) -> list[CheckpointState]:
        """Every query's checkpoint; what can't be read is told as its damage."""
        return [self._state(name) for name in QUERIES]

    def explain(self, query: str) -> Explanation:
        """What the query's next start would do.

        Raises:
            ConfigurationError: There is no such query, or a setting is wrong.
            BusError: The broker, which knows the source's shape, is away.
            StreamingError: The checkpoint can't be read.
        """
        store = self._store(query)
        current, wanted = store.current(), QUERIES[query].shape(self._settings)
        made_for = current.shape if current else None
        return Explanation(query, store.in_use(), made_for, wanted, store.choose(wanted))

    def running(self, query: str) -> bool:
        """Whether the query runs.

        Raises:
            ConfigurationError: There is no such query.
        """
        return self._store(query).in_use()

    def after_reset(self, query: str, *, from_oldest: bool) -> str:
        """Where the query would begin to read after a reset, in words; empty where there is nothing to reset.

        Raises:
            ConfigurationError: There is no such query.
        """
        store = self._store(query)
        try:
            if store.current() is None:
                return ""
            return start_in_words(store.after_reset(from_oldest=from_oldest))
        except StreamingError:
            return start_in_words(store.first_start())

    def reset(self, query: str, *, from_oldest: bool, force: bool) -> None:
        """Throws the query's state and offsets away; a damaged checkpoint is removed as a whole.

        Args:
            query: Its name.
            from_oldest: Its next start reads everything that the topics have.
            force: Even while it runs: it then fails at its next commit, and its supervisor starts it again.

        Raises:
            ConfigurationError: There is no such query.
            StreamingError: It runs.
        """
        store = self._store(query)
        if force and store.in_use():
            _reset(store, from_oldest=from_oldest)
            return
        with store.held(patience_seconds=0):
            _reset(store, from_oldest=from_oldest)

    def _store(self, query: str) -> CheckpointStore:
        if query not in QUERIES:
            raise ConfigurationError(f"there is no query {query!r}; queries: {', '.join(QUERIES)}")
        return QUERIES[query].checkpoints(self._settings)

    def _state(self, query: str) -> CheckpointState:
        store = self._store(query)
        running = store.in_use()
        try:
            current = store.current()
            if current is None:
                return CheckpointState(query, running)
            path = store.folder / current.folder
            commit = last_commit(path)
            positions = self._positions(committed_positions(path, commit) if commit else {})
        except StreamingError as error:
            return CheckpointState(query, running, folder=str(store.folder), damage=str(error))
        return CheckpointState(query, running, str(path), current, size_bytes(path), commit, positions)

    def _positions(self, processed: dict[Position, int]) -> tuple[SourcePosition, ...]:
        try:
            ends = self._inspector.ends({topic for topic, _ in processed}) if processed else {}
        except BusError:
            ends = {}  # told as unknown
        ordered = sorted(processed.items())
        return tuple(SourcePosition(*position, offset, ends.get(position)) for position, offset in ordered)


def _reset(store: CheckpointStore, *, from_oldest: bool) -> None:
    try:
        store.reset(from_oldest=from_oldest)
    except StreamingError:
        store.discard()
