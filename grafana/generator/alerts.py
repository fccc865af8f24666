"""Alerts: what fires now, what fired when, and whether the way to whoever is told works."""

from grafana.generator.board import Board, Row, of_prometheus
from grafana.generator.panels import BAD, FAIR, firing, grid, lines, number, states
from grafana.generator.queries import prom, sql

S = 'severity=~"$severity", alertname!="Watchdog"'
_NOW = Row(
    "Now",
    [
        number(
            "Critical",
            "short",
            prom('count(ALERTS{alertstate="firing", severity="critical"}) or vector(0)', "firing"),
            steps=[(1, BAD)],
        ),
        number(
            "Warnings",
            "short",
            prom('count(ALERTS{alertstate="firing", severity="warning"}) or vector(0)', "firing"),
            steps=[(1, FAIR)],
        ),
        number("About to fire", "short", prom('count(ALERTS{alertstate="pending"}) or vector(0)', "pending")),
        number(
            "Alerts come through",
            "short",
            prom('count(ALERTS{alertname="Watchdog", alertstate="firing"}) or vector(0)', "watchdog"),
            about="1 while Prometheus fires its Watchdog.",
        ),
        number("Held by Alertmanager", "short", prom('sum(alertmanager_alerts{state="active"})', "active")),
        number(
            "Not delivered",
            "short",
            prom("sum(increase(alertmanager_notifications_failed_total[1h]))", "within an hour"),
            steps=[(1, BAD)],
        ),
        firing("What Alertmanager holds", about="Inhibited and silenced ones are marked."),
        grid(
            "Firing and pending",
            prom('ALERTS{severity!="none"} or ALERTS{alertname="Watchdog"}', table=True),
            about="The runbook, docs/how-to/runbook.md, has a section for each.",
        ),
    ],
)
_HISTORY = Row(
    "History",
    [
        states(
            "What fired when",
            prom('max by (alertname) (ALERTS{alertstate="firing"})', "{{alertname}}"),
            words={"1": ("fires", "red")},
        ),
        lines(
            "Firing",
            "short",
            "alerts",
            prom(f'count by (severity) (ALERTS{{alertstate="firing", {S}}}) or vector(0)', "{{severity}}"),
            stacked=True,
        ),
        lines(
            "Time each fired",
            "s",
            "seconds of this range",
            prom('5 * sum by (alertname) (count_over_time(ALERTS{alertstate="firing"}[$__range]))', "{{alertname}}"),
            about="Prometheus looks every five seconds.",
        ),
        lines(
            "Received and delivered",
            "cps",
            "a second",
            prom("sum by (status) (rate(alertmanager_alerts_received_total[5m]))", "received, {{status}}"),
            prom("sum(rate(alertmanager_notifications_total[5m]))", "delivered"),
        ),
        grid(
            "Feed events that told of trouble",
            sql(
                """select time, provider, kind, detail, fault from feed_events
                where $__timeFilter(time) and (fault is not null or kind in ('gap', 'failover'))
                order by time desc limit 200"""
            ),
        ).span(24),
    ],
)
BOARD = Board(
    "Alert history",
    "What fires now, what fired when, and whether the way to whoever is told works.",
    [_NOW, _HISTORY],
    [of_prometheus("severity", "Severity", "ALERTS", "severity")],
    span="6h",
)
