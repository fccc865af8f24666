"""The lake's files, in a local folder or in an object store.

Reads and writes: `<lake>/<dataset>/[interval=…/]date=…/symbol=…/HHMM-HHMM.parquet`, and `<lake>/_locks`,
`<lake>/_staging`.

A file appears, and is replaced, whole: a local one is written under a name that no reader looks for, forced to the
disk and renamed; an object store shows an object when it is complete. Whoever changes a local partition holds its lock,
which its end, however sudden, releases. Object stores have no locks: there, let one process write at a time.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkstemp
from typing import Any, Self
from zlib import crc32

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from marketstream.domain.errors import ConfigurationError, StoreError
from marketstream.lake.datasets import Dataset
from marketstream.lake.places import Partition, Span

STAGING, LOCKS = "_staging", "_locks"
TEMPORARY = ".tmp"
ROW_GROUP = 100_000
_STRIPES = 1_024
_MODE = 0o644  # a temporary file is its owner's alone; one of the lake is for readers
# For a small object, instead of an upload in parts that a kill leaves unfinished.
_ONE_REQUEST = "allow_delayed_open=true"
_NO_KEYS = (
    "logs and checkpoints tell it, so keys go into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, not in front of @"
)
# Where an object takes the other's place when it is complete. Azure's and HDFS's begin with taking the old one away.
_SCHEMES = {"file": "file", "s3": "s3", "s3a": "s3", "s3n": "s3", "gs": "gs", "gcs": "gs"}


@dataclass(frozen=True, slots=True)
class LakeFile:
    """One file.

    Attributes:
        partition: Its folder.
        span: What it covers of the day.
        bytes: Its size.
    """

    partition: Partition
    span: Span
    bytes: int

    @property
    def path(self) -> str:
        """From the lake's root."""
        return f"{self.partition.path}/{self.span.file_name}"


class LakeStore:
    """The lake at a URL.

    Args:
        filesystem: Where it is.
        root: Its path there.
    """

    def __init__(self, filesystem: fs.FileSystem, root: str) -> None:
        self.filesystem, self.root = filesystem, root.rstrip("/")
        self.local = isinstance(filesystem, fs.LocalFileSystem)

    @classmethod
    def at(cls, url: str) -> Self:
        """Opens a lake, which need not be there yet.

        Args:
            url: A local folder, or `s3://`, `s3a://`, `gs://` and a place there. What else a store needs (its address,
                keys, a region) comes from the environment as its own tools have it, or as pyarrow's options after `?`.

        Raises:
            ConfigurationError: It is no such URL, or its store can't be reached.
        """
        scheme, separator, rest = url.partition("://")
        if not separator:
            return cls(fs.LocalFileSystem(), str(Path(url).expanduser().absolute()))
        if scheme not in _SCHEMES:
            known = "a lake is in a folder, or at s3://, s3a:// or gs://, which replace a file in one step"
            raise ConfigurationError(f"MARKETSTREAM_ARCHIVE__URL={url!r}: {known}")
        bucket = rest.partition("/")[0].partition("?")[0]
        if "@" in bucket:
            raise ConfigurationError(f"MARKETSTREAM_ARCHIVE__URL: {_NO_KEYS}")
        if not bucket and _SCHEMES[scheme] != "file":
            raise ConfigurationError(f"MARKETSTREAM_ARCHIVE__URL={url!r} names no bucket")
        if _SCHEMES[scheme] == "s3":
            rest += f"{'&' if '?' in rest else '?'}{_ONE_REQUEST}"
        try:
            return cls(*fs.FileSystem.from_uri(f"{_SCHEMES[scheme]}://{rest}"))
        except (pa.ArrowInvalid, OSError) as error:
            raise ConfigurationError(f"MARKETSTREAM_ARCHIVE__URL={url!r}: {error}") from error

    def path(self, *parts: str) -> str:
        """A path on the file system."""
        return "/".join((self.root, *parts))

    def files(self, partition: Partition) -> list[LakeFile]:
        """A partition's files by their spans; none where it isn't there."""
        found = []
        for info in self.infos(self.path(partition.path)) if partition.nameable else ():
            span = Span.parse(info.base_name)
            if info.type == fs.FileType.File and span is not None:
                found.append(LakeFile(partition, span, info.size))
        return sorted(found, key=lambda file: file.span)

    def infos(self, folder: str) -> list[fs.FileInfo]:
        """What is in a folder of the file system; nothing where it isn't there, as one without objects in a store."""
        with failures():
            found: list[fs.FileInfo] = self.filesystem.get_file_info(fs.FileSelector(folder, allow_not_found=True))
            return found

    def partitions(self, dataset: Dataset, days: tuple[str, str] = ("", "9")) -> Iterator[Partition]:
        """The partitions of a dataset, level by level.

        Args:
            dataset: Which.
            days: The first and the last date as text, inclusive.
        """
        yield from self._walk(dataset, dataset.name, len(dataset.partitions), days)

    def read(self, dataset: Dataset, file: LakeFile) -> pa.Table:
        """A file's rows in the dataset's columns; what it lacks since it is older gets its default."""
        with failures(), pq.ParquetFile(self.path(file.path), filesystem=self.filesystem) as parquet:
            return conform(dataset, parquet.read())

    def rows(self, file: LakeFile) -> int:
        """How many rows a file has, by its footer."""
        with failures(), pq.ParquetFile(self.path(file.path), filesystem=self.filesystem) as parquet:
            count: int = parquet.metadata.num_rows
            return count

    def row_groups(self, dataset: Dataset, file: LakeFile) -> Iterator[pa.Table]:
        """A file's rows as `read` gives them, a part at a time."""
        with failures(), pq.ParquetFile(self.path(file.path), filesystem=self.filesystem) as parquet:
            for index in range(parquet.num_row_groups):
                yield conform(dataset, parquet.read_row_group(index))

    def write(self, path: str, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
        """Writes a file that takes its place whole once all its tables are in it, and never if one fails.

        Args:
            path: From the lake's root; its folder is made.
            schema: The file's columns.
            tables: Its rows.
        """
        final = self.path(path)
        with failures():
            if self.local:
                self._write_local(path, schema, tables)
            else:  # an object is there once it is complete; one that fails on the way must not be completed
                sink = pa.BufferOutputStream()
                _write_tables(sink, schema, tables)
                with self.filesystem.open_output_stream(final) as stream:
                    stream.write(sink.getvalue())

    def _write_local(self, path: str, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
        """By way of the staging area: some readers refuse a folder with anything but Parquet files in it."""
        final = Path(self.path(path))
        staging = Path(self.path(STAGING, path.removeprefix(f"{STAGING}/"))).parent
        for folder in (staging, final.parent):
            folder.mkdir(parents=True, exist_ok=True)
        handle, written = mkstemp(dir=staging, suffix=TEMPORARY)
        try:
            with os.fdopen(handle, "wb") as sink:
                _write_tables(sink, schema, tables)
                sink.flush()
                os.fchmod(sink.fileno(), _MODE)
                os.fsync(sink.fileno())
            Path(written).replace(final)
        except BaseException:
            Path(written).unlink(missing_ok=True)
            raise
        finally:
            if staging != final.parent:
                staging.rmdir()
        sync_folder(str(final.parent))

    @contextmanager
    def locked(self, partition: Partition) -> Iterator[None]:
        """Nobody else changes the local partition while the block runs."""
        if not self.local:
            yield
            return
        folder = Path(self.path(LOCKS))
        folder.mkdir(parents=True, exist_ok=True)
        stripe = crc32(partition.path.encode()) % _STRIPES
        with (folder / f"{stripe:04}").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _walk(self, dataset: Dataset, path: str, levels: int, days: tuple[str, str]) -> Iterator[Partition]:
        if not levels:
            partition = Partition.parse(dataset, path)
            if partition is not None:
                yield partition
            return
        for info in sorted(self.infos(self.path(path)), key=lambda info: info.base_name):
            name, _, value = info.base_name.partition("=")
            if info.type == fs.FileType.Directory and (name != "date" or days[0] <= value <= days[1]):
                yield from self._walk(dataset, f"{path}/{info.base_name}", levels - 1, days)


def conform(dataset: Dataset, table: pa.Table) -> pa.Table:
    """A table with exactly the dataset's columns: what it lacks gets its default, what it has beyond them goes."""
    columns = []
    for column in dataset.schema:
        if column.name in table.column_names:
            columns.append(table.column(column.name).cast(column.type))
        else:
            default = pa.scalar(dataset.defaults.get(column.name), column.type)
            columns.append(pa.repeat(default, table.num_rows))
    return pa.table(columns, schema=dataset.schema)


def sync_folder(folder: str) -> None:
    """Forces a local folder's entries to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_tables(sink: Any, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table, row_group_size=ROW_GROUP)


@contextmanager
def failures() -> Iterator[None]:
    """Tells what the file system says is wrong as a `StoreError`."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"the data lake: {error}") from error
