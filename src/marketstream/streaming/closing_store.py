"""What the closer keeps over a crash: one SQLite file, `<data_dir>/closer/state.db`.

It holds how far each partition has been read, every symbol's open bars as of there with how many trades their windows
have, and which bars are final. Saving is one transaction, so the file is always a moment that was; what came after is
on the topics and is read again. Nothing is lost with the file but the memory of bars closed long ago, and how many
trades of open ones came before.
"""

import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from marketstream.contracts.topics import BARS_PREFIX, TICKS
from marketstream.domain.errors import StreamingError
from marketstream.ports import Positions
from marketstream.streaming.closing_state import BarKey, Closed, Seen, Symbol

_LAYOUT = 2
_DAY_SECONDS = 86_400
_KEPT_DAYS = 8  # longer than the topics keep what a bar could be made of again
_FORGOTTEN_AT_ONCE = 2_000
_CACHED = 200_000
_LOCK_SECONDS = 2.0
_TABLES = """
create table if not exists symbols (symbol text primary key, state blob not null) without rowid;
create table if not exists positions (
  topic text, partition integer, next_offset integer not null, primary key (topic, partition)
) without rowid;
create table if not exists topics (topic text primary key, identity text not null) without rowid;
create table if not exists closed (
  symbol text, interval text, start_us integer, trade_count integer not null, revision integer not null,
  day integer not null, cancelled integer not null default 0, primary key (symbol, interval, start_us)
);
create index if not exists closed_by_day on closed (day);
"""
_FROM_1 = "alter table closed add column cancelled integer not null default 0;"


class ClosingStore:
    """A `ClosedBars` and everything else that has to outlive the process; held by one process at a time.

    Args:
        path: The file; made with its folder where it is missing.

    Raises:
        StreamingError: Another closer holds it, or it can't be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._cache: dict[BarKey, Closed] = {}
        self._unsaved: dict[BarKey, Closed] = {}
        try:
            self._database = _opened(path)
        except sqlite3.OperationalError as error:
            raise StreamingError(f"{path} is held by another closer, or can't be written: {error}") from error
        except sqlite3.DatabaseError as error:
            raise StreamingError(f"{path} can't be read ({error}); remove it to go on without") from error

    def get(self, key: BarKey) -> Closed | None:
        """The bar's newest final, where it has one."""
        known = self._unsaved.get(key) or self._cache.get(key)
        if known is None:
            row = self._database.execute(
                "select trade_count, cancelled, revision from closed"
                " where symbol = ? and interval = ? and start_us = ?",
                key,
            ).fetchone()
            if row is not None:
                trades, cancelled, revision = row
                known = Closed(Seen(trades, cancelled), revision)
                self._remember({key: known})
        return known

    def put(self, key: BarKey, closed: Closed) -> None:
        """Replaces it; in the file with the next `save`."""
        self._unsaved[key] = closed

    def save(self, symbols: Iterable[tuple[str, Symbol]], positions: Positions) -> None:
        """Writes what has changed, all at once.

        Args:
            symbols: Those that have changed.
            positions: How far each partition has been read.
        """
        today = int(time.time()) // _DAY_SECONDS
        with self._database as database:
            database.executemany(
                "insert or replace into symbols values (?, ?)", ((name, symbol.dump()) for name, symbol in symbols)
            )
            database.executemany(
                "insert or replace into closed values (?, ?, ?, ?, ?, ?, ?)",
                (
                    (*key, closed.seen.trades, closed.revision, today, closed.seen.cancelled)
                    for key, closed in self._unsaved.items()
                ),
            )
            database.executemany(
                "insert or replace into positions values (?, ?, ?)",
                ((*place, offset) for place, offset in positions.items()),
            )
            database.execute(
                "delete from closed where rowid in (select rowid from closed where day < ? limit ?)",
                (today - _KEPT_DAYS, _FORGOTTEN_AT_ONCE),
            )
        self._remember(self._unsaved)
        self._unsaved = {}

    def adopt(self, identities: Mapping[str, str]) -> Positions:
        """How far the partitions of these topics have been read; what belongs to one that was made anew is forgotten.

        Args:
            identities: The broker's identity of each topic that is read.
        """
        with self._database as database:
            known = dict(database.execute("select topic, identity from topics").fetchall())
            gone = {topic for topic, identity in known.items() if identities.get(topic) != identity}
            if gone:
                self._forget(gone, anew=gone & identities.keys(), kept=known.keys() - gone)
            database.executemany("insert or replace into topics values (?, ?)", identities.items())
        rows = self._database.execute("select topic, partition, next_offset from positions").fetchall()
        return {(topic, partition): offset for topic, partition, offset in rows}

    def symbols(self, now: float) -> Iterator[tuple[str, Symbol]]:
        """Every saved symbol.

        Args:
            now: Counts as their last arrival (steady clock, in s).
        """
        for name, state in self._database.execute("select symbol, state from symbols").fetchall():
            yield name, Symbol.load(state, now)

    def close(self) -> None:
        """Closes the file; what was not saved is forgotten."""
        self._database.close()

    def _forget(self, gone: Collection[str], *, anew: Collection[str], kept: Collection[str]) -> None:
        """Forgets where topics were read to and their open bars; of those made anew, which bars are final too."""
        database = self._database
        for topic in gone:
            database.execute("delete from positions where topic = ?", (topic,))
            database.execute("delete from topics where topic = ?", (topic,))
        for topic in anew:
            database.execute("delete from closed where interval = ?", (topic.removeprefix(BARS_PREFIX),))
        for name, symbol in list(self.symbols(0.0)):
            symbol.series = {name: series for name, series in symbol.series.items() if BARS_PREFIX + name in kept}
            if TICKS not in kept:
                symbol.forget_ticks()
            database.execute("update symbols set state = ? where symbol = ?", (symbol.dump(), name))

    def _remember(self, closed: Mapping[BarKey, Closed]) -> None:
        if len(self._cache) + len(closed) > _CACHED:
            self._cache = {}
        self._cache.update(closed)


def _opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=_LOCK_SECONDS)
    try:
        # Exclusive for as long as it is open; a crash of the machine loses the last moments and no more.
        for pragma in ("locking_mode = exclusive", "journal_mode = wal", "synchronous = normal"):
            database.execute(f"pragma {pragma}").close()
        (layout,) = database.execute("pragma user_version").fetchone()
        if layout not in (0, 1, _LAYOUT):
            raise sqlite3.DatabaseError(f"its layout is {layout}, not {_LAYOUT}")
        widened = _FROM_1 if layout == 1 else ""
        database.executescript(f"begin exclusive; {_TABLES} {widened} pragma user_version = {_LAYOUT}; commit;")
    except sqlite3.Error:
        database.close()
        raise
    return database
