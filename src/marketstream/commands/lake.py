"""`marketstream lake`: what the data lake holds, and its compaction."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from marketstream.settings import load_settings

_DATE_HELP = "As in 2026-01-31, UTC."
_First = Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help=f"First date. {_DATE_HELP}")]
_Last = Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help=f"Last date. {_DATE_HELP}")]
app = typer.Typer(no_args_is_help=True, help="The data lake of Parquet files.")


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    root.add_typer(app, name="lake")


@app.command("list")
def show(first: _First = None, last: _Last = None) -> None:
    """Shows dates, rows, files and bytes of each dataset."""
    from marketstream.lake.listing import days
    from marketstream.lake.store import LakeStore

    settings = load_settings()
    table = Table("dataset", "date", *(_right(name) for name in ("symbols", "rows", "files", "bytes")))
    for each in days(LakeStore.at(settings.lake_url), *_range(first, last, date.max)):
        numbers = (f"{number:,}" for number in (each.symbols, each.rows, each.files, each.bytes))
        table.add_row(each.dataset, each.day.isoformat(), *numbers)
    console = Console()
    console.print(settings.lake_url, highlight=False, soft_wrap=True)
    console.print(table if table.row_count else "nothing there", highlight=False)


@app.command()
def compact(first: _First = None, last: _Last = None) -> None:
    """Merges each past date's files, by symbol; of a lake in a folder, readers and archive may go on meanwhile."""
    from marketstream.lake.compaction import compact as merge_files
    from marketstream.lake.store import LakeStore

    settings = load_settings()
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    start, end = _range(first, last, yesterday)
    store = LakeStore.at(settings.lake_url)
    fewer = merge_files(store, start, min(end, yesterday), settings.archive.compacted_rows)
    Console().print(f"{fewer:,} files fewer", highlight=False)


def _range(first: datetime | None, last: datetime | None, newest: date) -> tuple[date, date]:
    return (first.date() if first else date.min, last.date() if last else newest)


def _right(name: str) -> Column:
    return Column(name, justify="right")
