"""Rows as CSV, Parquet and Arrow: a file whole, or piece by piece as the rows come.

Columns are the messages' fields, times integer µs. Parquet and Arrow hold every value as it is. CSV is for spreadsheets
too, so a text that one of them could take for a formula gets an apostrophe before it, and a list is one text.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from marketstream.domain.indicators import Indicators
from marketstream.lake.datasets import BAR_ROWS, TICK_ROWS

Kind = Literal["csv", "parquet", "arrow"]

# What spreadsheets begin a formula with, after blanks they skip (OWASP, "CSV Injection"), wide forms too.
_FORMULA = "^\\s*[=+\\-@\\t\\r\\n|%\uff1d\uff0b\uff0d\uff20]"
_INDICATOR_FIELDS = tuple(name for name in Indicators.__slots__ if name != "values")


@dataclass(frozen=True, slots=True)
class Shape:
    """The columns of one kind of rows.

    Attributes:
        schema: Their names and types.
        indicators: Names of indicators that have a column each; others go, as JSON, into `other_values`.
        marked: Each row comes with the value of the last column.
    """

    schema: pa.Schema
    indicators: tuple[str, ...] = ()
    marked: bool = False

    def batch(self, rows: Sequence[Any]) -> pa.RecordBatch:
        """Rows as columns."""
        if self.marked:
            own = [pa.array([getattr(row, each.name) for row, _ in rows], each.type) for each in list(self.schema)[:-1]]
            return pa.record_batch([*own, pa.array([mark for _, mark in rows], pa.bool_())], schema=self.schema)
        if "other_values" in self.schema.names:
            return pa.record_batch(self._indicator_columns(rows), schema=self.schema)
        columns = [pa.array([getattr(row, each.name) for row in rows], each.type) for each in self.schema]
        return pa.record_batch(columns, schema=self.schema)

    def _indicator_columns(self, rows: Sequence[Indicators]) -> list[pa.Array]:
        known = set(self.indicators)
        others = [{name: value for name, value in row.values.items() if name not in known} for row in rows]
        columns = {name: [getattr(row, name) for row in rows] for name in _INDICATOR_FIELDS}
        columns |= {name: [row.values.get(name) for row in rows] for name in self.indicators}
        columns["other_values"] = [orjson.dumps(each).decode() if each else None for each in others]
        return [pa.array(columns[each.name], each.type) for each in self.schema]


TICKS = Shape(TICK_ROWS.schema.append(pa.field("cancelled", pa.bool_())), marked=True)
BARS = Shape(BAR_ROWS.schema)
FILLED_BARS = Shape(BAR_ROWS.schema.append(pa.field("filled", pa.bool_(), nullable=False)))


def indicator_shape(names: Sequence[str]) -> Shape:
    """A column for each of these indicators beside the bar's own fields."""
    plain = {"symbol": pa.string(), "interval": pa.string(), "final": pa.bool_(), "close": pa.float64()}
    own = [
        pa.field(name, pa.string(), nullable=True)
        if name == "provider"
        else pa.field(name, plain.get(name, pa.int64()), nullable=False)
        for name in _INDICATOR_FIELDS
    ]
    values = [pa.field(name, pa.float64()) for name in names]
    return Shape(pa.schema([*own, *values, pa.field("other_values", pa.string())]), tuple(names))


def whole(kind: Kind, shape: Shape, rows: Sequence[Any]) -> bytes:
    """All rows as one file."""
    return b"".join(pieces(kind, shape, [rows]))


def pieces(kind: Kind, shape: Shape, parts: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    """A file of many rows, a piece for each part of them; a reader sees that a file is cut off, but for CSV."""
    sink = _Sink()
    with _writer(kind, sink, shape.schema) as writer:
        yield sink.take()
        for rows in parts:
            batch = shape.batch(rows)
            writer.write_batch(_harmless(batch) if kind == "csv" else batch)
            yield sink.take()
    yield sink.take()


def _writer(kind: Kind, sink: "_Sink", schema: pa.Schema) -> Any:
    if kind == "arrow":
        return pa.ipc.new_stream(sink, schema)
    if kind == "parquet":
        return pq.ParquetWriter(sink, schema, compression="zstd")
    return pcsv.CSVWriter(sink, pa.schema([_flat(each) for each in schema]))


def _flat(column: pa.Field) -> pa.Field:
    return pa.field(column.name, pa.string(), column.nullable) if pa.types.is_list(column.type) else column


def _harmless(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = []
    for column in batch.columns:
        flat = pc.binary_join(column, ";") if pa.types.is_list(column.type) else column
        if pa.types.is_string(flat.type):
            flat = pc.if_else(
                pc.match_substring_regex(flat, _FORMULA), pc.binary_join_element_wise("'", flat, ""), flat
            )
        columns.append(flat)
    return pa.record_batch(columns, names=batch.schema.names)


class _Sink(io.RawIOBase):
    """Where a writer writes, to be emptied after each part."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(self._pieces[-1])

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken

    # Arrow closes what it has written to, though there is still something to take.
    def close(self) -> None:
        return
