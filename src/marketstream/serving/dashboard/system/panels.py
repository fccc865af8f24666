"""The page's figures and tables. Pure: data in, components out."""

from collections.abc import Sequence
from math import log10
from typing import Any

from dash import html
from dash.development.base_component import Component

from marketstream.contracts.dead_letters import LetterGroups
from marketstream.contracts.feed_state import FeedState
from marketstream.contracts.messages import FeedEvent
from marketstream.serving.dashboard import numbers, parts
from marketstream.serving.dashboard.system.flow import Rates
from marketstream.serving.dashboard.system.health import Feeds, Now
from marketstream.serving.dashboard.system.stages import Stage

_LONGEST_MS = 10_000.0
_SHORTEST_MS = 0.1
_MUCH_LAG = 10_000
_UNSEEN: dict[str, Any] = {"aria-hidden": "true"}
_BAD_EVENTS = ("disconnected", "fatal", "refused_symbol", "retries_exhausted", "breaker_open", "failover", "gap")


def figures(now: Now, rates: Sequence[Rates]) -> list[Component]:
    """The page's headline figures."""
    machine = now.machine
    services, well = len(now.services), sum(map(_well, now.services))
    found = [
        parts.figure("Trades in, a second", _rate(rates, "Trades in")),
        parts.figure("Newest trade", _age(now.last_tick_age_seconds)),
        parts.figure("Waiting in Kafka", f"{sum(now.lags.values()):,}"),
    ]
    if services:
        found.append(parts.figure("Services well", f"{well} of {services}", kind="" if well == services else "down"))
    else:
        found.append(parts.figure("Processes", f"{sum(now.processes.values())}"))
    if machine:
        used = machine["memory_bytes"] - machine["memory_available_bytes"]
        found.append(parts.figure(f"Processor, {machine['cores']} cores", f"{machine['cpu_percent']:.0f} %"))
        found.append(parts.figure("Memory", f"{used / 2**30:.1f} of {machine['memory_bytes'] / 2**30:.1f} GiB"))
    if now.disk_free_share is not None:
        found.append(parts.figure("Disk free", f"{now.disk_free_share:.0%}"))
    return found


def badge(now: Now) -> Component:
    """Whether everything is well, in a word."""
    if not now.services:
        return parts.badge("Running", "live", detail=f"{sum(now.processes.values())} processes")
    ill = [str(each["name"]) for each in now.services if not _well(each)]
    if ill:
        return parts.badge("Not well", "away", detail=", ".join(ill[:3]))
    return parts.badge("All well", "live", detail=f"{len(now.services)} services")


def services(now: Now) -> Component:
    """How every service is."""
    if not now.services:
        running = [
            html.Tr([html.Td(name), html.Td(f"{count} running")]) for name, count in sorted(now.processes.items())
        ]
        return parts.table(("Process", "<State"), running, name="services-table", label="Processes")
    rows = [_service(each) for each in now.services]
    heads = ("Service", "<State", "Restarts", "Up for", "Memory", "Lag")
    return parts.table(heads, rows, name="services-table", label="Services")


def stages(found: Sequence[Stage]) -> Component:
    """How long each stage takes: three percentiles, and a stroke from the 50th to the 99th on a scale by tens."""
    if not found:
        return parts.empty("Nothing timed yet", "Each stage appears when it has done something.")
    rows = [
        html.Tr(
            [
                html.Td(each.name, className="words"),
                html.Td(_stroke(each), className="wide"),
                *(html.Td(_milliseconds(value)) for value in (each.p50, each.p95, each.p99)),
                html.Td(f"{each.count:,}", className="quiet"),
            ]
        )
        for each in found
    ]
    heads = ("Stage", "<0.1 ms to 10 s", "p50", "p95", "p99", "Times")
    return parts.table(heads, rows, name="stages-table", label="Latency by stage")


def lags(now: Now) -> Component:
    """How many messages every consumer group and Spark query has still to take."""
    if not now.lags:
        return parts.empty("No groups", "Consumer groups appear when they have read something.")
    most = max(1, *now.lags.values())
    rows = [
        html.Tr(
            [
                html.Td(name),
                html.Td(_bar(count / most, "away" if count > _MUCH_LAG else ""), className="wide"),
                html.Td(f"{count:,}"),
            ]
        )
        for name, count in sorted(now.lags.items(), key=lambda entry: (-entry[1], entry[0]))
    ]
    return parts.table(("Group or query", "<Share", "Messages"), rows, name="lags-table", label="Waiting in Kafka")


def feeds(found: Feeds) -> Component:
    """How every provider's feed is."""
    if not found.states:
        return parts.empty("No feeds", "Providers appear when one is configured or was heard of.")
    rows = [_feed(each, found.now_us) for each in found.states]
    heads = ("Provider", "<Role", "Lag", "Gaps open", "Not filled", "Heard of")
    return parts.table(heads, rows, name="feeds-table", label="Feeds")


def events(found: Feeds) -> Component:
    """What happened to the feeds, the newest first."""
    if not found.events:
        return parts.empty("Nothing happened", "Connects, gaps and failovers appear here.")
    rows = [_event(each, found.now_us) for each in reversed(found.events)]
    return parts.table(
        ("When", "<Provider", "<What", "<Detail"), rows, name="events-table", label="What happened to the feeds"
    )


def letters(found: LetterGroups) -> Component:
    """What was refused, by reason."""
    if not found.groups:
        return parts.empty("Nothing was refused", "Trades that are late or broken appear here, with the reason.")
    rows = [
        html.Tr(
            [
                html.Td(str(each.reason).replace("_", " ")),
                html.Td(each.provider, className="words"),
                html.Td(f"{each.count:,}"),
                html.Td(f"{each.symbols:,}"),
                html.Td(each.example_detail[:160], className="long"),
            ]
        )
        for each in found.groups
    ]
    heads = ("Reason", "<Provider", "Letters", "Symbols", "<Such as")
    return parts.table(heads, rows, name="letters-table", label="Dead letters")


def completeness_words(found: Feeds) -> str:
    """The hour's mean score in words."""
    scores = [record.score for record in found.minutes if record.score is not None]
    return f"{sum(scores) / len(scores):.2%} of {len(scores):,} minutes" if scores else "no minute known yet"


def _rate(rates: Sequence[Rates], name: str) -> str:
    newest = [each.each[name] for each in rates[-5:] if name in each.each]
    return f"{sum(newest) / len(newest):,.0f}" if newest else numbers.price(None, 0)


def _age(seconds: float | None) -> str:
    return numbers.price(None, 0) if seconds is None else f"{numbers.age(seconds)} ago"


def _well(service: Any) -> bool:
    return bool(service.get("well", service["state"] == "up" and service["health"] in ("", "ok")))


def _service(service: Any) -> Component:
    well, up = _well(service), service["uptime_seconds"]
    state = str(service["state"]) if well or not service["health"] else str(service["health"])
    kind = "live" if well and service["state"] == "up" else "quiet" if well else "away"
    memory, lag = service["memory_mb"], service["lag"]
    return html.Tr(
        [
            html.Td(service["name"]),
            html.Td([html.I(className=f"dot state-{kind}"), state], className="words", title=service.get("reason", "")),
            html.Td(service["restarts"] or numbers.price(None, 0)),
            html.Td(numbers.age(up)),
            html.Td(numbers.price(None, 0) if memory is None else f"{memory:,.0f} MB"),
            html.Td(numbers.price(None, 0) if lag is None else f"{lag:,}"),
        ]
    )


def _feed(feed: FeedState, now_us: int) -> Component:
    heard = numbers.price(None, 0) if feed.time_us is None else f"{numbers.age((now_us - feed.time_us) / 1e6)} ago"
    role = feed.role or "unknown"
    kind = {"active": "live", "standby": "quiet", "open": "away"}.get(role, "quiet")
    fault = [html.Small(str(feed.fault), className="under")] if feed.fault else []
    return html.Tr(
        [
            html.Td(feed.provider),
            html.Td([html.I(className=f"dot state-{kind}"), role, *fault], className="words", title=feed.detail or ""),
            html.Td(numbers.price(None, 0) if feed.lag_ms is None else f"{feed.lag_ms:,.0f} ms"),
            html.Td(f"{feed.gaps.open:,}"),
            html.Td(f"{feed.gaps.unfillable:,}"),
            html.Td(heard),
        ]
    )


def _event(event: FeedEvent, now_us: int) -> Component:
    bad = event.kind in _BAD_EVENTS
    when = html.Span(
        f"{numbers.age(max(0, now_us - event.time_us) / 1e6)} ago",
        title=f"{numbers.day_and_clock(event.time_us)} UTC",
    )
    kind: list[Any] = [html.I(className=f"dot state-{'stale' if bad else 'quiet'}"), event.kind.replace("_", " ")]
    return html.Tr(
        [
            html.Td(when),
            html.Td(event.provider, className="words"),
            html.Td(kind, className="words"),
            html.Td(event.detail, className="long"),
        ]
    )


def _milliseconds(value: float) -> str:
    return f"{value / 1_000:,.2f} s" if value >= 1_000 else f"{value:,.1f} ms"


def _place(milliseconds: float) -> float:
    """Where on the scale by tens, in percent."""
    inside = min(max(milliseconds, _SHORTEST_MS), _LONGEST_MS)
    return log10(inside / _SHORTEST_MS) / log10(_LONGEST_MS / _SHORTEST_MS) * 100


def _stroke(stage: Stage) -> Component:
    left, middle, right = map(_place, (stage.p50, stage.p95, stage.p99))
    marks = [
        html.I(className="reach", style={"left": f"{left:.1f}%", "width": f"{max(1.0, right - left):.1f}%"}),
        html.I(className="mark-at", style={"left": f"{middle:.1f}%"}),
    ]
    return html.Div(marks, className="scale", **_UNSEEN)


def _bar(share: float, kind: str) -> Component:
    return html.Div(html.I(style={"width": f"{share:.1%}"}), className=f"fill {kind}".strip(), **_UNSEEN)
