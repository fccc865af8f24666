"""A backfill on a terminal: bars over time, or plain lines where nobody is looking."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from marketstream.commands.times import time_text
from marketstream.producers.backfill.request import BackfillRequest
from marketstream.producers.backfill.state import Progress as States
from marketstream.producers.backfill.state import SymbolProgress

_LINE_SECONDS = 5.0
Listener = Callable[[str, SymbolProgress], None]


@contextmanager
def made_view(request: BackfillRequest, states: States) -> Iterator[Listener]:
    """Shows progress during the block, which gets the function to tell it."""
    console = Console(stderr=True, highlight=False)
    if console.is_terminal:
        with _bars(request, states, console) as listener:
            yield listener
    else:
        yield _lines(request, console)


@contextmanager
def _bars(request: BackfillRequest, states: States, console: Console) -> Iterator[Listener]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[position]}  {task.fields[counts]}"),
    )
    began = time.monotonic()
    before = sum(map(_fetched, states.values()))
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def show(symbol: str, state: SymbolProgress) -> None:
            rate = (sum(map(_fetched, states.values())) - before) / max(0.001, time.monotonic() - began)
            counts = f"{_counts(state)}, {rate:,.0f}/s"
            position = time_text(state.next_us)[:19]
            done_us = state.next_us - request.start_us
            bars.update(tasks[symbol], completed=done_us, position=position, counts=counts)

        for symbol, state in states.items():
            total_us = request.end_us - request.start_us
            tasks[symbol] = bars.add_task(symbol, total=total_us, position="", counts="")
            show(symbol, state)
        yield show


def _lines(request: BackfillRequest, console: Console) -> Listener:
    said_at = 0.0

    def say(symbol: str, state: SymbolProgress) -> None:
        nonlocal said_at
        if not state.done and time.monotonic() < said_at + _LINE_SECONDS:
            return
        said_at = time.monotonic()
        share = (state.next_us - request.start_us) / (request.end_us - request.start_us)
        console.print(f"{symbol} {share:.0%} {time_text(state.next_us)} {_counts(state)}", soft_wrap=True)

    return say


def _fetched(state: SymbolProgress) -> int:
    return state.published + state.already_there


def _counts(state: SymbolProgress) -> str:
    text = f"{state.published:,} published, {state.already_there:,} already there"
    return f"{text}, {state.refused:,} refused" if state.refused else text
