"""The platform's own figures: percentiles of histograms, several exporters added up, those that are away named."""

import pytest

from marketstream.domain.errors import StoreUnavailableError
from marketstream.serving.platform_metrics import PlatformMetrics, Scraped, Timing

TEXT = """\
# TYPE marketstream_cache_reads_total counter
marketstream_cache_reads_total{outcome="hit"} 3
# TYPE marketstream_write_seconds histogram
marketstream_write_seconds_bucket{writer="a",le="0.01"} 1
marketstream_write_seconds_bucket{writer="a",le="+Inf"} 2
marketstream_write_seconds_count{writer="a"} 2
marketstream_write_seconds_sum{writer="a"} 5
# TYPE other_seconds histogram
other_seconds_count 1
"""


def metrics(scraped: Scraped) -> PlatformMetrics:
    return PlatformMetrics(lambda: scraped, list, dict)


def test_figures_of_several_exporters_are_added_up() -> None:
    said = metrics(Scraped([TEXT, TEXT], ["http://away"])).families.get()
    assert [value.number for value in said.values("marketstream_cache_reads_total")] == [6]
    assert said.missing == ("http://away",)
    ((stage, (timing,)),) = said.timings().items()
    assert (stage, timing.count, timing.seconds, timing.buckets) == ("write", 4, 10, {0.01: 2, float("inf"): 4})


def test_without_any_exporter_there_are_none() -> None:
    with pytest.raises(StoreUnavailableError, match="http://away"):
        metrics(Scraped([], ["http://away"])).families.get()


@pytest.mark.parametrize(
    ("share", "seconds"), [(0.0, 0.0), (0.25, 0.5), (0.5, 1.0), (0.75, 1.5), (0.9, 2.0), (1.0, 2.0)]
)
def test_a_quantile_lies_evenly_within_its_bucket(share: float, seconds: float) -> None:
    timing = Timing({}, 4, 5.0, {1.0: 2, 2.0: 3.5, float("inf"): 4})
    expected = seconds if share != 0.75 else 1 + (3 - 2) / 1.5
    assert timing.quantile(share) == pytest.approx(expected)


def test_nothing_timed_has_no_quantile() -> None:
    assert Timing({}, 0, 0.0, {1.0: 0}).quantile(0.5) is None


def test_a_moment_later_nobody_is_asked_again() -> None:
    asked = []

    def scrape() -> Scraped:
        asked.append(1)
        return Scraped([TEXT])

    figures = PlatformMetrics(scrape, list, dict)
    assert figures.families.get() is figures.families.get()
    assert len(asked) == 1
