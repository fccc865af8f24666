"""Slot arithmetic: whether a Spark master has room for the query's tasks."""

import re
from os import cpu_count

from marketstream.domain.errors import ConfigurationError

_LOCAL = re.compile(r"local\[(\d+|\*)(?:,\d+)?\]")


def slots_needed(*, realtime: bool, source_partitions: int, shuffle_partitions: int) -> int:
    """Task slots the query occupies at once.

    In real-time mode every stage runs at the same time and forever: one slot for each Kafka partition and each shuffle
    partition. Micro-batches run one stage after the other on whatever there is.
    """
    return source_partitions + shuffle_partitions if realtime else 1


def resolve_master(master: str, needed: int) -> str:
    """Turns `local` into `local[N]` with enough slots, and checks an explicit `local[N]`.

    Slots are threads, not cores: more of them than cores is fine, since most wait for data.

    Raises:
        ConfigurationError: An explicit `local[N]` has fewer slots than the query needs.
    """
    if master == "local":
        return f"local[{max(needed, cpu_count() or 1)}]"
    match = _LOCAL.fullmatch(master)
    if match:
        check_slots(cpu_count() or 1 if match[1] == "*" else int(match[1]), needed, master)
    return master


def check_slots(available: int, needed: int, master: str) -> None:
    """Refuses to start a query that would wait for slots forever.

    Raises:
        ConfigurationError: There are too few; the message says how many more and what to change.
    """
    if available < needed:
        raise ConfigurationError(
            f"Spark at {master} has {available} task slots and the query needs {needed} at once "
            "(in real-time mode one for each Kafka partition plus one for each shuffle partition): "
            f"raise the slots (MARKETSTREAM_STREAMING__MASTER=local[{needed}], or more executor cores), "
            "lower MARKETSTREAM_KAFKA__PARTITIONS, or use micro-batches (MARKETSTREAM_STREAMING__TRIGGER='1 second')"
        )
