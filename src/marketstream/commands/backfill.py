"""`marketstream backfill`: history by REST into the same tables as what comes live."""

import asyncio
import shlex
import signal
from dataclasses import replace
from typing import Annotated, NamedTuple

import typer
from rich.console import Console

from marketstream import bootstrap
from marketstream.clock import SystemClock
from marketstream.commands.backfill_views import made_view
from marketstream.commands.times import TIME_HELP, parse_time, time_text
from marketstream.domain.errors import MarketstreamError
from marketstream.domain.interval import Interval
from marketstream.launch.feeds import as_launched
from marketstream.observability.logs import configure_logs
from marketstream.producers.backfill.guards import LIVE_US
from marketstream.producers.backfill.request import BackfillRequest, Data
from marketstream.producers.backfill.runner import Backfill, Outcome
from marketstream.producers.backfill.state import Progress
from marketstream.settings import Settings, load_settings

_STORED_SECONDS = 60.0


class _Allowed(NamedTuple):
    """What is done although it is refused otherwise."""

    mixed: bool
    cut_bars: bool


def register(root: typer.Typer) -> None:
    """Adds the command."""
    root.command()(backfill)


def backfill(
    provider: Annotated[str, typer.Option("--provider", "-p", help="Whose history.")],
    symbols: Annotated[str, typer.Option("--symbols", "-s", help="Separated by commas.")],
    start: Annotated[str, typer.Option("--start", help=f"From here on. {TIME_HELP}")],
    end: Annotated[str, typer.Option("--end", help="Up to here, exclusively.")] = "now",
    data: Annotated[Data, typer.Option("--data", help="Single trades, or the provider's own bars.")] = "trades",
    interval: Annotated[str, typer.Option("--interval", help="Bar length, with --data bars.")] = "1min",
    resume: Annotated[
        bool, typer.Option("--resume/--restart", help="Go on where the same backfill stopped, or begin anew.")
    ] = True,
    mixed: Annotated[
        bool, typer.Option("--mixed", help="Also where another provider's trades are; bars then count both.")
    ] = False,
    cut_bars: Annotated[
        bool, typer.Option("--cut-bars", help="Also where bars come out wrong until they are rebuilt.")
    ] = False,
) -> None:
    """Fetches history over a provider's REST API; whatever is there already is left as it is.

    Ctrl-C stops it after the pages in hand; the same command goes on from there.
    """
    settings = as_launched(load_settings(), provider)
    configure_logs(settings.log_level, settings.log_format)
    request = _request(provider, symbols, (start, end), data, interval)
    console = Console(stderr=True, highlight=False)
    if request.data == "trades":
        request = _without_the_newest(request, console)
    allowed = _Allowed(mixed, cut_bars)
    try:
        outcome, number = _run(settings, request, allowed, restart=not resume)
    except MarketstreamError:
        console.print(_hint(request, allowed), soft_wrap=True)
        raise
    _conclude(settings, request, outcome, console)
    if cut_bars and request.data == "trades":
        command = bootstrap.build_whole_bars(settings).rebuild(request.symbols, request.start_us, request.end_us)
        console.print(f"Make the bars anew: {command}", soft_wrap=True)
    if outcome.stopped:
        console.print(f"stopped. {_hint(request, allowed)}", soft_wrap=True)
        raise typer.Exit(128 + number)
    if outcome.faults:
        raise typer.Exit(1)


def _request(provider: str, symbols: str, span: tuple[str, str], data: Data, interval: str) -> BackfillRequest:
    now_us = SystemClock().now_us()
    start_us, end_us = (parse_time(text, lambda: now_us) for text in span)
    try:
        length = Interval.parse(interval) if data == "bars" else None
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    names = dict.fromkeys(name.strip().upper() for name in symbols.split(",") if name.strip())
    return BackfillRequest(
        provider=provider, symbols=tuple(names), start_us=start_us, end_us=end_us, data=data, interval=length
    )


def _without_the_newest(request: BackfillRequest, console: Console) -> BackfillRequest:
    latest_us = SystemClock().now_us() - LIVE_US
    if request.end_us <= latest_us:
        return request
    console.print(f"[dim]up to {time_text(latest_us)}: the newest minute is the live feed's[/]")
    return replace(request, end_us=latest_us)


def _run(settings: Settings, request: BackfillRequest, allowed: _Allowed, *, restart: bool) -> tuple[Outcome, int]:
    """The outcome, and the signal that stopped it if one did."""
    job = bootstrap.build_backfill(settings, request)
    with job.state.held():
        progress = job.prepare(restart=restart)
        if request.data == "trades":
            bootstrap.check_backfill(settings, request, mixed=allowed.mixed, cut_bars=allowed.cut_bars)
        received: list[int] = []
        with made_view(request, progress) as job.listener, asyncio.Runner() as runner:
            outcome = runner.run(_until_stopped(job, progress, received))
        return outcome, received[0] if received else signal.SIGINT


async def _until_stopped(job: Backfill, progress: Progress, received: list[int]) -> Outcome:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        received.append(number)
        stop.set()
        loop.remove_signal_handler(number)  # a second one ends it at once
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal, number)
    return await job.run(progress, stop)


def _conclude(settings: Settings, request: BackfillRequest, outcome: Outcome, console: Console) -> None:
    published = sum(each.published for each in outcome.progress.values())
    there = sum(each.already_there for each in outcome.progress.values())
    refused = sum(each.refused for each in outcome.progress.values())
    known = f", {there:,} were there already" if request.data == "trades" else ""
    letters = f", {refused:,} could not be read and are dead letters" if refused else ""
    console.print(f"{published:,} {request.data} published{known}{letters}")
    for symbol, fault in outcome.faults.items():
        console.print(f"[bold red]{symbol}[/] {fault}", soft_wrap=True)
    if published and request.data == "trades" and not bootstrap.trades_stored(settings, _STORED_SECONDS):
        console.print("timescale-writer is behind; it stores the rest as it catches up")


def _hint(request: BackfillRequest, allowed: _Allowed) -> str:
    words = ["marketstream", "backfill", "--provider", request.provider, "--symbols", ",".join(request.symbols)]
    words += ["--start", str(request.start_us), "--end", str(request.end_us)]
    if request.interval is not None:
        words += ["--data", "bars", "--interval", request.interval.name]
    words += ["--mixed"] * allowed.mixed + ["--cut-bars"] * allowed.cut_bars
    return f"To go on from here: {shlex.join(words)}"
