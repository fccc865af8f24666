"""What is told of the way from the socket to the store: an even sample, in seconds, by what came of the trade."""

from prometheus_client import REGISTRY

from marketstream.ports import Message
from marketstream.storage.decoding import Decoded
from marketstream.storage.latency import SAMPLE, observe_received, observe_stored, sampled
from stores import make_bar, make_indicators, make_provider_bar, make_tick

NOW_US = 1_700_000_000_000_000


def message(topic: str, after_ms: int) -> Message:
    return Message(topic, 0, 0, "IBM", b"", NOW_US // 1_000 + after_ms)


def told(name: str, **labels: str) -> tuple[float, float]:
    count, total = (REGISTRY.get_sample_value(f"marketstream_{name}_{part}", labels) for part in ("count", "sum"))
    return count or 0.0, total or 0.0


def test_a_sample_is_spread_over_all_of_a_batch() -> None:
    assert list(sampled([])) == []
    assert list(sampled(range(SAMPLE))) == list(range(SAMPLE))
    spread = list(sampled(range(1_000)))
    assert len(spread) <= SAMPLE
    assert spread[0] == 0
    assert spread[-1] >= 900


def test_each_kind_is_timed_from_the_receipt_of_its_newest_trade() -> None:
    kinds = ("tick", "bar", "final_bar", "provider_bar", "indicators")
    before = {kind: told("received_to_kafka_seconds", kind=kind) for kind in kinds}
    received = {"last_received_time_us": NOW_US}
    provisional, final = make_bar(NOW_US, 3, **received), make_bar(NOW_US, 3, final=True, **received)
    decoded = Decoded(
        ticks=[(message("tick_data", 40), make_tick(NOW_US, received_time_us=NOW_US))],
        bars=[
            (message("aggregated_data_1min", 250), provisional),
            (message("aggregated_data_1min", 11_000), final),
            (message("provider_bars", 500), make_provider_bar(NOW_US, NOW_US)),
        ],
        indicators=[(message("technical_indicators", 1_250), make_indicators(provisional))],
    )
    observe_received(decoded)
    for kind, seconds in zip(kinds, (0.04, 0.25, 11.0, 0.5, 1.25), strict=True):
        count, total = told("received_to_kafka_seconds", kind=kind)
        assert count - before[kind][0] == 1, kind
        # Within a millisecond, since the sum may hold other tests' made-up centuries.
        assert abs(total - before[kind][1] - seconds) < 1e-3, kind


def test_what_is_stored_is_timed_from_kafka_and_a_clock_ahead_gives_nothing_negative() -> None:
    before = told("kafka_to_store_seconds", writer="test-writer")
    far_ahead = Message("tick_data", 0, 0, "IBM", b"", 10**13)
    observe_stored("test-writer", [far_ahead])
    assert told("kafka_to_store_seconds", writer="test-writer") == (before[0] + 1, before[1])
