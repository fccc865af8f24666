"""A rebuild's report for people."""

from rich.console import Console
from rich.table import Table

from marketstream.commands.times import time_text
from marketstream.domain.market import Bar
from marketstream.streaming.rebuild import RebuildRequest, Report

_MEANING = {
    "missing": "is not there",
    "wrong": "is not what its trades make",
    "overfull": "has more trades than the source",
    "unexplained": "has trades, the source has none",
}


def show_report(report: Report, request: RebuildRequest, console: Console) -> None:
    """Prints what was found and done."""
    console.print(f"{report.bars:,} bars recomputed from the {request.source}", highlight=False)
    for (store, kind), count in sorted(report.differences.items()):
        console.print(f"[bold red]{count:,}[/] {kind} in {store}: {_MEANING[kind]}", highlight=False)
    if report.examples:
        console.print(_examples(report), highlight=False)
    if report.ticks_missing:
        console.print(f"[bold red]{report.ticks_missing:,}[/] trades of the lake are not in tick_data", highlight=False)
    if request.repair:
        restored = f"{report.ticks_restored:,} trades restored"
        console.print(f"{report.repaired:,} bars published for repair, {restored}", highlight=False)
    if report.left:
        console.print(f"{report.left:,} bars differ and were left as they are{_hint(request)}", highlight=False)
    if report.days_skipped:
        why = f"the {request.source} keeps no ticks of them"
        console.print(f"[bold red]{report.days_skipped:,}[/] days were not looked at: {why}", highlight=False)
    if not (report.left or report.days_skipped or report.differences or report.ticks_missing):
        console.print("no difference", highlight=False)


def _hint(request: RebuildRequest) -> str:
    if not request.repair:
        return ""
    if request.drop_trades:
        return f"; the {request.source} has no trades of their day, or of their symbol none from after them"
    return "; --drop-trades repairs those with trades that the source lacks"


def _examples(report: Report) -> Table:
    table = Table("difference", "store", "symbol", "interval", "start", "stored", "recomputed")
    for each in report.examples:
        symbol, interval, start_us = each.key
        bars = (_bar(each.stored), _bar(each.recomputed))
        table.add_row(each.kind, each.store, symbol, interval, time_text(start_us), *bars)
    return table


def _bar(bar: Bar | None) -> str:
    if bar is None:
        return "none"
    prices = "/".join(f"{price:g}" for price in (bar.open, bar.high, bar.low, bar.close))
    return f"{prices} · {bar.volume:g} · {bar.trade_count} trades"
