"""Dead letters on a terminal. Whatever came from outside is shown without markup or control characters."""

from collections.abc import Mapping

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from marketstream.commands.times import time_text
from marketstream.contracts.dead_letters import Letter, LetterGroups, Letters, Reinjection, Treatment

_DETAIL_CHARACTERS = 100
_ROWS_SHOWN = 50
_STYLES: Mapping[Treatment, str] = {"published": "green", "already_there": "cyan", "refused": "red"}
_NUMERIC = ("letters", "symbols", "published", "already there")


def print_letters(letters: Letters) -> None:
    """A table of letters."""
    table = _table("id", "refused", "reason", "provider", "symbol", "detail", "put back")
    for letter in letters.letters:
        it = letter.letter
        mark = time_text(letter.mark.time_us)[:19] if letter.mark else ""
        row = (letter.letter_id, time_text(letter.time_us)[:19], it.reason, it.provider, it.symbol or "")
        table.add_row(*row, _short(it.detail), mark)
    console = Console()
    console.print(table)
    if letters.more:
        console.print("There are older ones: raise --limit, or narrow it with --reason, --provider or --symbol.")


def print_groups(counted: LetterGroups) -> None:
    """A table of groups."""
    table = _table("reason", "provider", "letters", "symbols", "first", "last", "example", "its detail")
    for group in counted.groups:
        times = (time_text(group.first_us)[:19], time_text(group.last_us)[:19])
        numbers = (f"{group.count:,}", f"{group.symbols:,}")
        table.add_row(group.reason, group.provider, *numbers, *times, group.example_id, _short(group.example_detail))
    console = Console()
    console.print(table)
    if not counted.complete:
        console.print(f"Only the newest {counted.scanned:,} letters were looked at; narrow it with --since.")


def print_letter(letter: Letter) -> None:
    """One letter with its bytes."""
    it = letter.letter
    table = Table(show_header=False, box=None)
    rows = {
        "id": letter.letter_id,
        "refused": time_text(letter.time_us),
        "reason": it.reason.value,
        "detail": it.detail,
        "provider": it.provider,
        "symbol": it.symbol or "",
        "received": time_text(it.received_time_us),
        "size": f"{it.raw_size_bytes:,} bytes" + (", cut off" if it.truncated else ""),
        "put back": time_text(letter.mark.time_us) if letter.mark else "no",
    }
    for name, text in rows.items():
        table.add_row(f"[dim]{name}[/]", _plain(text))
    console = Console()
    console.print(table)
    console.rule(f"raw, {it.raw_encoding}", style="dim")
    typer.echo(_printable(it.raw))


def print_reinjection(result: Reinjection) -> None:
    """A table of what became of each letter, those still refused first, and the sums."""
    table = _table(
        "id", "would be" if result.dry_run else "outcome", "published", "already there", "still refused because"
    )
    refused_first = sorted(result.treated, key=lambda each: each.treatment != "refused")
    for each in refused_first[:_ROWS_SHOWN]:
        outcome = f"[{_STYLES[each.treatment]}]{each.treatment.replace('_', ' ')}[/]"
        numbers = (f"{each.published:,}", f"{each.already_there:,}")
        table.add_row(each.letter_id, outcome, *numbers, _plain(each.detail))
    console = Console()
    console.print(table)
    if len(refused_first) > _ROWS_SHOWN:
        console.print(f"… and {len(refused_first) - _ROWS_SHOWN:,} more; --json shows all.")
    console.print(_summary(result), highlight=False)


def _summary(result: Reinjection) -> str:
    would = "would be " if result.dry_run else ""
    published, there = result.count("published"), result.count("already_there")
    text = f"{published:,} {would}published, {there:,} already there, {result.count('refused'):,} still refused."
    if result.stored is False:
        text += " Not all of it is in the database yet; timescale-writer is behind."
    if result.more:
        text += " More letters match: run it again for the rest."
    return text


def _table(*columns: str) -> Table:
    table = Table(header_style="dim", box=None)
    for column in columns:
        table.add_column(column, justify="right" if column in _NUMERIC else "left", no_wrap=column == "id")
    return table


def _short(text: str) -> str:
    return _plain(text if len(text) <= _DETAIL_CHARACTERS else text[: _DETAIL_CHARACTERS - 1] + "…")


def _plain(text: str) -> str:
    return escape(_printable(text))


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() or each in "\n\t" else f"\\x{ord(each):02x}" for each in text)
