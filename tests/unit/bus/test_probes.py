"""What the broker's gauges say, from an inspector that says it back."""

from collections.abc import Collection

from marketstream.bus.inspector import PartitionCounts, Position
from marketstream.bus.probes import kafka_probes

LAG_AND_AGE = ("marketstream_consumer_lag_messages", "marketstream_last_tick_age_seconds")


class Told:
    """An inspector with the answers it was given."""

    def __init__(self, lags: dict[str, int], newest_ms: int | None) -> None:
        self.lags, self.newest_ms, self.asked = lags, newest_ms, ""

    def lag_by_group(self) -> dict[str, int]:
        return self.lags

    def newest_message_ms(self, topic: str) -> int | None:
        self.asked = topic
        return self.newest_ms

    def ends(self, topics: Collection[str]) -> dict[Position, int]:
        return {(topic, partition): 10 + partition for topic in topics for partition in range(2)}

    def replication(self) -> dict[str, PartitionCounts]:
        return {
            "tick_data": PartitionCounts(total=4, under_replicated=1, offline=0),
            "__consumer_offsets": PartitionCounts(total=8, under_replicated=2, offline=3),
        }


def measured(inspector: Told, now_seconds: float) -> dict[str, dict[str, float]]:
    return {probe.name: dict(probe.read()) for probe in kafka_probes(inspector, ["tick_data"], lambda: now_seconds)}


def test_lag_is_told_by_group_and_age_in_seconds() -> None:
    inspector = Told({"redis-writer": 3, "influx-writer": 0}, 1_700_000_000_250)
    found = measured(inspector, 1_700_000_001.5)
    assert {name: found[name] for name in LAG_AND_AGE} == {
        "marketstream_consumer_lag_messages": {"redis-writer": 3, "influx-writer": 0},
        "marketstream_last_tick_age_seconds": {"": 1.25},
    }
    assert inspector.asked == "tick_data"


def test_without_a_tick_there_is_no_age() -> None:
    assert measured(Told({}, None), 5.0)["marketstream_last_tick_age_seconds"] == {}


def test_a_clock_behind_the_broker_s_gives_no_negative_age() -> None:
    assert measured(Told({}, 10_000), 9.5)["marketstream_last_tick_age_seconds"] == {"": 0.0}


def test_topics_are_counted_and_every_partition_in_trouble_even_of_the_broker_s_own() -> None:
    found = measured(Told({}, None), 5.0)
    assert found["marketstream_topic_messages_total"] == {"tick_data": 21}
    assert found["marketstream_topic_partitions"] == {"tick_data": 4}
    assert found["marketstream_under_replicated_partitions"] == {"": 3}
    assert found["marketstream_offline_partitions"] == {"": 3}
