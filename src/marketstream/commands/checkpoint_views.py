"""Checkpoints on a terminal and as JSON."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson
from rich.console import Console
from rich.table import Table

from marketstream.commands.times import time_text

if TYPE_CHECKING:
    from marketstream.streaming.checkpoint_desk import CheckpointState, Explanation
    from marketstream.streaming.checkpoints import QueryShape

_MIB = 1024 * 1024
_US_PER_MS = 1_000
_WIDTH = 150  # where there is no terminal to ask


def print_states(states: Sequence["CheckpointState"]) -> None:
    """A table of queries, each with its folder below."""
    table = Table(header_style="dim", box=None)
    for column in ("query", "runs", "mode", "intervals", "made", "last commit", "batch", "size", "behind"):
        table.add_column(column, justify="right" if column in ("batch", "size", "behind") else "left")
    for state in states:
        table.add_row(state.query, "yes" if state.running else "no", *_cells(state))
    console = _console()
    console.print(table)
    for state in states:
        if state.damage:
            console.print(f"[bold red]damaged[/] {state.damage}", highlight=False, soft_wrap=True)
        elif state.folder:
            console.print(f"[dim]{state.query}: {state.folder}[/]", highlight=False, soft_wrap=True)
    if any(state.positions and state.behind is None for state in states):
        console.print("Kafka does not answer, so nothing tells how far behind they are.")
    elif any(state.running and state.pointer and state.pointer.shape.mode == "realtime" for state in states):
        console.print("A query in real-time mode is behind since its last commit only by what it would read again.")


def _cells(state: "CheckpointState") -> tuple[str, ...]:
    pointer, commit = state.pointer, state.commit
    if pointer is None:
        return ("", "", "damaged" if state.damage else "never", "", "", "", "")
    behind = "" if state.behind is None else f"{state.behind:,}"
    return (
        pointer.shape.mode,
        ",".join(pointer.shape.intervals),
        time_text(pointer.made_ms * _US_PER_MS)[:16],
        _age(commit.time_ms) if commit else "none yet",
        str(commit.batch) if commit else "",
        f"{state.size_bytes / _MIB:.1f} MiB",
        behind,
    )


def print_explanation(explanation: "Explanation") -> None:
    """Both shapes side by side, and what follows."""
    table = Table(header_style="dim", box=None)
    for column in ("", "made for", "wanted now"):
        table.add_column(column, overflow="fold")
    wanted = _fields(explanation.wanted)
    made_for = _fields(explanation.made_for) if explanation.made_for else dict.fromkeys(wanted, "")
    for name, value in wanted.items():
        differs = explanation.made_for is not None and made_for[name] != value
        table.add_row(f"[dim]{name}[/]", made_for[name], f"[yellow]{value}[/]" if differs else value)
    console = _console()
    console.print(table)
    verb = "would resume" if explanation.choice.resumes else "would begin afresh"
    if explanation.running:
        verb += ", were it started again"
    console.print(f"{explanation.query} {verb}: {explanation.choice.reason}", highlight=False, soft_wrap=True)


def states_json(states: Sequence["CheckpointState"]) -> bytes:
    """All that is known, and messages behind."""
    return _json([{**asdict(state), "behind": state.behind} for state in states])


def explanation_json(explanation: "Explanation") -> bytes:
    """All that is known."""
    return _json(asdict(explanation))


def _fields(shape: "QueryShape") -> dict[str, str]:
    return {name: ", ".join(value) if isinstance(value, tuple) else str(value) for name, value in asdict(shape).items()}


def _age(time_ms: int) -> str:
    ago = max(0, round(time.time() - time_ms / 1_000))
    return f"{time_text(time_ms * _US_PER_MS)[:19]} ({ago:,} s ago)"


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH)
