"""Processes that the lake's tests start beside themselves: one is killed in the middle, one goes on and on."""

import os
import signal
from multiprocessing.synchronize import Event
from typing import Any

from lakes import DAY_US
from marketstream.lake import compaction, swap
from marketstream.lake.compaction import compact, compact_partition
from marketstream.lake.datasets import TICK_ROWS
from marketstream.lake.places import Partition, Span, date_of
from marketstream.lake.store import LakeStore

DAY = date_of(DAY_US)
PARTITION = Partition("ticks", "", DAY, "A")
ALL = 10**9


def compact_and_die(url: str, step: str) -> None:
    """Compacts, and is killed at the step."""
    store = LakeStore.at(url)
    exchange: Any = swap._exchange
    finish: Any = swap._finish

    def die(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def exchange_and_die(*given: Any) -> None:
        assert exchange(*given)
        die()

    def hide_one_and_die(store: LakeStore, partition: Partition) -> None:
        store.filesystem.delete_file(store.path(store.files(partition)[0].path))
        die()

    def hide_all(store: LakeStore, partition: Partition) -> None:
        for file in store.files(partition):
            store.filesystem.delete_file(store.path(file.path))
        if not store.local:  # where a folder is there as long as there is an object in it
            store.filesystem.delete_dir(store.path(partition.path))

    def hide_and_die(store: LakeStore, partition: Partition) -> None:
        hide_all(store, partition)
        die()

    def show_half_and_die(store: LakeStore, partition: Partition) -> None:
        """To move an object is to copy it, and then to take the first one away."""
        hide_all(store, partition)
        name = Span(0, 300).file_name
        store.filesystem.copy_file(store.path(swap.staged(partition, name)), store.path(partition.path, name))
        die()

    def finish_and_die(store: LakeStore, partition: Partition) -> None:
        finish(store, partition)
        die()

    def without_exchange(*_: Any) -> bool:
        return False

    replaced: dict[str, dict[str, Any]] = {
        "exchanged": {"_exchange": exchange_and_die},
        "ready": {"_exchange": without_exchange, "_finish": die},
        "half hidden": {"_exchange": without_exchange, "_finish": hide_one_and_die},
        "hidden": {"_exchange": without_exchange, "_finish": hide_and_die},
        "half shown": {"_exchange": without_exchange, "_finish": show_half_and_die},
        "shown": {"_exchange": without_exchange, "_finish": finish_and_die},
    }
    if step == "staged":
        vars(compaction).update(swap=die)
    else:
        vars(swap).update(replaced[step])
    compact_partition(store, TICK_ROWS, PARTITION, ALL)


def compact_again_and_again(root: str, stop: Event) -> None:
    """Compacts five files into one and cuts that into five again, the same way, until stopped."""
    store = LakeStore.at(root)
    apart = [Span(start, start + 60) for start in range(0, 300, 60)]
    while not stop.is_set():
        assert compact(store, DAY, DAY, ALL) == len(apart) - 1
        (file,) = store.files(PARTITION)
        rows = store.read(TICK_ROWS, file)
        with store.locked(PARTITION):
            for span in apart:
                path = swap.staged(PARTITION, span.file_name)
                store.write(path, TICK_ROWS.schema, [rows.slice(span.start, 60)])
            swap.swap(store, PARTITION, [file.span.file_name], [])
