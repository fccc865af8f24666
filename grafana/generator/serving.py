"""Serving: REST's requests, errors and times, the cache, and WebSocket clients."""

from grafana.generator.board import Board, Row, of_prometheus
from grafana.generator.panels import BAD, FAIR, go, lines, number
from grafana.generator.queries import prom

R, C = 'route=~"$route"', 'channel=~"$channel"'
_NOW = Row(
    "Now",
    [
        number("Requests a second", "reqps", prom("sum(rate(marketstream_requests_total[1m]))", "requests")),
        number(
            "Errors of an hour",
            "percentunit",
            prom("marketstream:request_errors:ratio_rate1h", "failed"),
            steps=[(0.001, FAIR), (0.0144, BAD)],
            about="Answers with a status of 500 and above; the objective is at most one in a thousand.",
        ),
        number(
            "Duration, p99",
            "s",
            prom("histogram_quantile(0.99, sum by (le) (rate(marketstream_request_seconds_bucket[5m])))", "p99"),
            steps=[(0.25, FAIR), (1, BAD)],
        ),
        number(
            "Answered by the cache",
            "percentunit",
            prom(
                'sum(rate(marketstream_cache_reads_total{outcome="hit"}[5m]))'
                " / sum(rate(marketstream_cache_reads_total[5m]))",
                "hits",
            ),
        ),
        number("WebSocket clients", "short", prom("sum(marketstream_websocket_clients)", "clients")),
        number(
            "Socket to client, p99",
            "s",
            prom('channel:marketstream_websocket_delivery_seconds:p99{channel="ticks"}', "ticks"),
            steps=[(0.1, FAIR), (1, BAD)],
        ),
    ],
)
_REST = Row(
    "REST",
    [
        lines(
            "Requests",
            "reqps",
            "a second",
            prom(
                f"sum by (route, status) (rate(marketstream_requests_total{{{R}}}[$__rate_interval]))",
                "{{route}} {{status}}",
            ),
        ),
        lines(
            "Duration, p99",
            "s",
            "seconds",
            prom(
                f"histogram_quantile(0.99, sum by (le, route) (rate(marketstream_request_seconds_bucket{{{R}}}[5m])))",
                "{{route}}",
            ),
        ),
        lines(
            "Error budget's burn",
            "short",
            "times as fast as allowed",
            prom("marketstream:request_errors:ratio_rate5m / 0.001", "5 minutes"),
            prom("marketstream:request_errors:ratio_rate30m / 0.001", "30 minutes"),
            prom("marketstream:request_errors:ratio_rate1h / 0.001", "1 hour"),
            prom("marketstream:request_errors:ratio_rate6h / 0.001", "6 hours"),
            about="At 1 a month's errors last a month; 14.4 and 6 call somebody.",
        ).links([go("alerts", "Alerts")]),
        lines(
            "Reads, by who answered",
            "cps",
            "a second",
            prom("sum by (outcome) (rate(marketstream_cache_reads_total[$__rate_interval]))", "{{outcome}}"),
        ),
        lines(
            "Refused",
            "cps",
            "a second",
            prom(
                "sum by (part, reason) (rate(marketstream_access_refused_total[$__rate_interval]))",
                "{{part}}: {{reason}}",
            ),
        ),
    ],
)
_WEBSOCKET = Row(
    "WebSocket",
    [
        lines(
            "Clients, and what they want",
            "short",
            "clients, symbols",
            prom("sum(marketstream_websocket_clients)", "clients"),
            prom(f"sum by (channel) (marketstream_websocket_subscriptions{{{C}}})", "{{channel}}"),
        ),
        lines(
            "Socket to client, p99",
            "s",
            "seconds",
            prom(f"channel:marketstream_websocket_delivery_seconds:p99{{{C}}}", "{{channel}}"),
        ),
        lines(
            "Updates sent",
            "ops",
            "a second",
            prom(
                f"sum by (channel) (rate(marketstream_websocket_updates_total{{{C}}}[$__rate_interval]))", "{{channel}}"
            ),
        ),
        lines(
            "Queues",
            "short",
            "updates that wait",
            prom("sum(marketstream_websocket_queued_updates)", "all clients'"),
            prom("max(marketstream_websocket_longest_queue_updates)", "the longest"),
        ),
        lines(
            "Updates left out",
            "ops",
            "a second",
            prom(
                f"sum by (channel, why) (rate(marketstream_websocket_left_out_total{{{C}}}[$__rate_interval]))",
                "{{channel}}: {{why}}",
            ),
        ),
        lines(
            "Ended, refused, resumed",
            "ops",
            "a second",
            prom("sum by (reason) (rate(marketstream_websocket_ended_total[5m]))", "ended: {{reason}}"),
            prom("sum by (code) (rate(marketstream_websocket_refused_total[5m]))", "refused: {{code}}"),
            prom("sum by (outcome) (rate(marketstream_websocket_resumes_total[5m]))", "resumed: {{outcome}}"),
        ),
    ],
)
_GRAPHQL = Row(
    "GraphQL",
    [
        lines("Subscribers", "short", "connections", prom("sum(marketstream_graphql_connections)", "connections")),
        lines(
            "Documents that asked too much",
            "cps",
            "a second",
            prom("sum by (what) (rate(marketstream_graphql_refused_total[$__rate_interval]))", "{{what}}"),
        ),
    ],
)
BOARD = Board(
    "Serving",
    "REST's requests, errors and times, the cache, and clients of WebSocket and GraphQL.",
    [_NOW, _REST, _WEBSOCKET, _GRAPHQL],
    [
        of_prometheus("route", "Route", "marketstream_requests_total", "route"),
        of_prometheus("channel", "Channel", "marketstream_websocket_updates_total", "channel"),
    ],
)
