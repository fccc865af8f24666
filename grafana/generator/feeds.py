"""Feeds: what each provider sends, how well it is connected, what is refused and what is missing."""

from grafana.generator.board import Board, Row, of_prometheus
from grafana.generator.panels import BAD, FAIR, grid, lines, number, states
from grafana.generator.queries import prom, sql

P = 'provider=~"$provider"'
_NOW = Row(
    "Now",
    [
        number("Ticks a second", "cps", prom(f"sum(rate(marketstream_ticks_published_total{{{P}}}[1m]))", "ticks")),
        number(
            "Refused",
            "percentunit",
            prom(
                f"sum(rate(marketstream_rejected_total{{{P}}}[5m]))"
                f" / (sum(rate(marketstream_rejected_total{{{P}}}[5m])) +"
                f" sum(rate(marketstream_ticks_published_total{{{P}}}[5m])))",
                "refused",
            ),
            steps=[(0.01, FAIR), (0.05, BAD)],
            about="Of what came, the share that went to dead_letter_queue.",
        ),
        number("Lag", "s", prom(f"max(marketstream_feed_lag_seconds{{{P}}})", "lag"), steps=[(2, FAIR), (10, BAD)]),
        number("Feeds in use", "short", prom(f"sum(marketstream_feed_active{{{P}}})", "in use")),
        number(
            "Failures in a row",
            "short",
            prom(f"max(marketstream_feed_failures{{{P}}})", "at most"),
            steps=[(1, FAIR), (10, BAD)],
        ),
        number(
            "Takeovers in an hour",
            "short",
            prom(f"sum(increase(marketstream_feed_switches_total{{{P}}}[1h]))", "takeovers"),
        ),
    ],
)
_FLOW = Row(
    "What comes",
    [
        lines(
            "Ticks",
            "cps",
            "a second",
            prom(
                f"sum by (provider) (rate(marketstream_ticks_published_total{{{P}}}[$__rate_interval]))", "{{provider}}"
            ),
            prom(
                f"sum by (provider) (rate(marketstream_duplicate_ticks_total{{{P}}}[$__rate_interval]))",
                "{{provider}} again",
            ),
        ),
        lines(
            "Refused, by reason",
            "cps",
            "a second",
            prom(
                f"sum by (provider, reason) (rate(marketstream_rejected_total{{{P}}}[$__rate_interval]))",
                "{{provider}}: {{reason}}",
            ),
        ),
        lines(
            "Frames",
            "cps",
            "a second",
            prom(
                f"sum by (provider) (rate(marketstream_provider_frames_total{{{P}}}[$__rate_interval]))", "{{provider}}"
            ),
        ),
        lines(
            "Lag",
            "s",
            "later than at its best",
            prom(f"max by (provider) (marketstream_feed_lag_seconds{{{P}}})", "{{provider}}"),
        ),
        lines(
            "Waiting for Kafka",
            "percentunit",
            "share of the time",
            prom(
                f"sum by (provider) (rate(marketstream_backpressure_seconds_total{{{P}}}[$__rate_interval]))",
                "{{provider}}",
            ),
        ),
        lines(
            "Requests to providers' REST APIs",
            "reqps",
            "a second",
            prom(
                "sum by (provider, outcome)"
                f" (rate(marketstream_provider_rest_requests_total{{{P}}}[$__rate_interval]))",
                "{{provider}}: {{outcome}}",
            ),
        ),
    ],
)
_CONNECTED = Row(
    "How well it is connected",
    [
        states(
            "In use",
            prom(f"max by (provider) (marketstream_feed_active{{{P}}})", "{{provider}}"),
            words={"0": ("waits", "text"), "1": ("in use", "green")},
        ),
        lines(
            "Connections",
            "short",
            "within 5 minutes",
            prom(
                f"sum by (provider, outcome) (increase(marketstream_provider_connections_total{{{P}}}[5m]))",
                "{{provider}}: {{outcome}}",
            ),
        ),
        lines(
            "Failed connections in a row",
            "short",
            "failures",
            prom(f"max by (provider) (marketstream_feed_failures{{{P}}})", "{{provider}}"),
        ),
        lines(
            "Takeovers",
            "short",
            "within 5 minutes",
            prom(
                f"sum by (provider, kind) (increase(marketstream_feed_switches_total{{{P}}}[5m]))",
                "{{provider}}: {{kind}}",
            ),
        ),
        grid(
            "Newest events",
            sql(
                "select time, provider, kind, detail, fault, attempt, lag_ms"
                " from feed_events where $__timeFilter(time) order by time desc limit 200"
            ),
            units={"lag_ms": "ms"},
        ),
        grid(
            "How each feed is",
            sql(
                "select provider, role, fault, attempt, lag_ms, time as told, kind, event_time as since, detail"
                " from feeds order by provider"
            ),
            units={"lag_ms": "ms"},
        ),
    ],
)
_MISSING = Row(
    "What is missing",
    [
        lines(
            "Gaps",
            "short",
            "within 5 minutes",
            prom(
                f"sum by (provider, state) (increase(marketstream_feed_gaps_total{{{P}}}[5m]))",
                "{{provider}}: {{state}}",
            ),
        ),
        lines(
            "Trades missed by the stream",
            "short",
            "within 5 minutes",
            prom(
                f"sum by (provider, outcome) (increase(marketstream_feed_gap_trades_total{{{P}}}[5m]))",
                "{{provider}}: {{outcome}}",
            ),
        ),
        lines(
            "Cancels without their trade", "short", "cancels", prom("max(marketstream_cancels_unmatched)", "unmatched")
        ),
        grid(
            "Gaps of this time",
            sql(
                """select start_time as start, end_time as "end", provider, symbol, state, missing, filled, detail
                from feed_gaps
                where end_time >= $__timeFrom() and start_time <= $__timeTo() order by start_time desc limit 200"""
            ),
        ).span(24),
    ],
)
BOARD = Board(
    "Feeds",
    "What each provider sends, how well it is connected, what is refused and what is missing.",
    [_NOW, _FLOW, _CONNECTED, _MISSING],
    [of_prometheus("provider", "Provider", "marketstream_provider_frames_total", "provider")],
)
