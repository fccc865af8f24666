import pytest

from marketstream.domain.errors import ConfigurationError
from marketstream.streaming.slots import check_slots, resolve_master, slots_needed
from marketstream.streaming.trigger import Trigger


def test_realtime_is_checkpointed_at_the_configured_interval():
    trigger = Trigger.parse("realtime", realtime_checkpoint_seconds=60)
    assert (trigger.realtime, trigger.interval, trigger.mode) == (True, "60 seconds", "realtime")


@pytest.mark.parametrize("text", ["0 seconds", "1 second", "500 milliseconds", "2 minutes"])
def test_an_interval_means_micro_batches(text):
    trigger = Trigger.parse(text, realtime_checkpoint_seconds=60)
    assert (trigger.realtime, trigger.interval, trigger.mode) == (False, text, "microbatch")


@pytest.mark.parametrize("text", ["", "fast", "1", "second", "-1 seconds", "1 second; drop", "realtime "])
def test_anything_else_names_the_setting(text):
    with pytest.raises(ConfigurationError, match="MARKETSTREAM_STREAMING__TRIGGER"):
        Trigger.parse(text, realtime_checkpoint_seconds=60)


def test_a_query_with_python_code_runs_in_micro_batches_only():
    assert Trigger.micro_batches("1 second") == Trigger.parse("1 second", realtime_checkpoint_seconds=60)
    with pytest.raises(ConfigurationError, match="MARKETSTREAM_STREAMING__INDICATORS_TRIGGER"):
        Trigger.micro_batches("realtime")


def test_realtime_needs_a_slot_for_every_partition_at_once():
    assert slots_needed(realtime=True, source_partitions=4, shuffle_partitions=2) == 6
    assert slots_needed(realtime=False, source_partitions=4, shuffle_partitions=2) == 1


def test_local_gets_the_slots_it_needs():
    assert resolve_master("local", 64) == "local[64]"


def test_an_explicit_master_is_kept_or_refused():
    assert resolve_master("local[8]", 5) == "local[8]"
    assert resolve_master("spark://127.0.0.1:7077", 5) == "spark://127.0.0.1:7077"
    with pytest.raises(ConfigurationError, match=r"has 4 task slots and the query needs 5.*local\[5\]"):
        resolve_master("local[4]", 5)


def test_a_small_cluster_is_refused_with_the_ways_out():
    with pytest.raises(ConfigurationError, match="executor cores"):
        check_slots(2, 5, "spark://127.0.0.1:7077")
