"""The System page's figures: rates between two looks, the last minute's latencies, whatever restarts meanwhile."""

from typing import Any

import pytest

from marketstream.serving.dashboard.system import charts, panels
from marketstream.serving.dashboard.system.flow import Flow, Rates
from marketstream.serving.dashboard.system.stages import Stage, stages
from marketstream.serving.platform_metrics import PlatformMetrics, Scraped


class Counters:
    """An exporter whose counts a test sets."""

    def __init__(self) -> None:
        self.ticks, self.fast, self.slow = 1_000, 10, 0

    def text(self) -> str:
        return (
            "# TYPE marketstream_ticks_published_total counter\n"
            f'marketstream_ticks_published_total{{provider="a"}} {self.ticks}\n'
            "# TYPE marketstream_write_seconds histogram\n"
            f'marketstream_write_seconds_bucket{{writer="redis",le="0.01"}} {self.fast}\n'
            f'marketstream_write_seconds_bucket{{writer="redis",le="0.1"}} {self.fast + self.slow}\n'
            f'marketstream_write_seconds_bucket{{writer="redis",le="+Inf"}} {self.fast + self.slow}\n'
            f'marketstream_write_seconds_count{{writer="redis"}} {self.fast + self.slow}\n'
            f'marketstream_write_seconds_sum{{writer="redis"}} 1\n'
        )


class Watched:
    """A flow over counters and a clock that a test sets."""

    def __init__(self) -> None:
        self.counters, self.now = Counters(), 1_000.0
        self.flow = Flow(PlatformMetrics(list, list, dict), now=lambda: self.now)  # type: ignore[arg-type]

    def look(self) -> None:
        metrics = PlatformMetrics(lambda: Scraped([self.counters.text()]), list, dict)
        self.flow._metrics = metrics
        self.flow.look()


def test_rates_are_what_was_counted_between_two_looks() -> None:
    watched = Watched()
    watched.look()
    assert watched.flow.rates() == []
    watched.now, watched.counters.ticks = 1_002.0, 1_500
    watched.look()
    assert watched.flow.rates() == [Rates(1_002.0, {"Trades in": 250.0})]
    assert watched.flow.rates(since=1_002.0) == []


def test_a_process_that_begins_anew_is_no_negative_rate() -> None:
    watched = Watched()
    watched.look()
    watched.now, watched.counters.ticks = 1_002.0, 20
    watched.look()
    assert watched.flow.rates() == [Rates(1_002.0, {})]


def test_a_second_viewer_makes_no_second_look() -> None:
    watched = Watched()
    watched.look()
    watched.now = 1_000.5
    watched.look()
    assert watched.flow.rates() == []


def test_latencies_are_of_the_last_minute() -> None:
    watched = Watched()
    watched.look()
    timings, seconds = watched.flow.timings()
    assert seconds is None
    assert stages(timings)[0].p50 == pytest.approx(5.0)
    watched.now, watched.counters.slow = 1_010.0, 30
    watched.look()
    timings, seconds = watched.flow.timings()
    (stage,) = stages(timings)
    assert seconds == 10.0
    assert (stage.name, stage.count) == ("Write of a batch: Redis", 30)
    assert 10.0 < stage.p50 < 100.0  # the ten fast ones were before


def test_what_is_older_than_ten_minutes_is_forgotten() -> None:
    watched = Watched()
    for at in range(0, 1_300, 10):
        watched.now = 1_000.0 + at
        watched.look()
    assert len(watched.flow.rates()) == 60


def test_a_chart_that_is_drawn_grows_by_what_is_new() -> None:
    rates = [Rates(1_000.0, {"Trades in": 1.0}), Rates(1_002.0, {"Trades in": 2.0, "Stored: redis": 3.0})]
    lines = charts.lines_of(rates)
    assert lines == ["Trades in", "Stored: redis"]
    arrays, indices, most = charts.extension(rates[1:], lines)
    assert (arrays["y"], indices) == ([[2.0], [3.0]], [0, 1])
    assert len(arrays["x"]) == 2
    assert most >= 300
    assert [trace["y"] for trace in charts.flow(rates, lines, "dark")["data"]] == [[1.0, 2.0], [None, 3.0]]


def test_strokes_lie_on_a_scale_by_tens() -> None:
    stage: Any = panels.stages([Stage("one", 3, 0.1, 10.0, 10_000.0)])
    text = str(stage)
    assert "'left': '0.0%', 'width': '100.0%'" in text
    assert "'left': '40.0%'" in text
