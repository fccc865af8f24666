"""Puts a partition's compacted files in the place of the ones they were made of.

On a local file system the partition's folder is exchanged for the new one in one step of the kernel. A reader finds the
old files or the new ones, all of them and never both; one that has listed the old files and not opened them yet fails,
and need only try again.

Where that step does not exist (object stores, and a few local file systems) the old files go before the new ones come:
a reader may miss rows for that moment and never finds one twice. Whoever locks the partition next completes what a
crash cut short.
"""

import ctypes
import errno
import os
from collections.abc import Sequence
from pathlib import Path

import orjson
from pyarrow import fs

from marketstream.lake.places import SUFFIX, Partition
from marketstream.lake.store import STAGING, LakeStore, failures, sync_folder

_READY = "ready.json"  # names the old files, once the new ones are complete
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h
_NOT_SUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP}


def staged(partition: Partition, file_name: str) -> str:
    """Where a new file is written before its turn, from the lake's root; out of sight of readers of the datasets."""
    return f"{STAGING}/{partition.path}/{file_name}"


def swap(store: LakeStore, partition: Partition, merged: Sequence[str], kept: Sequence[str]) -> None:
    """Shows the staged files and takes the ones away that they were made of. Call it with the partition locked.

    Args:
        store: The lake.
        partition: Whose files they are.
        merged: Names of the files that go.
        kept: Names of the files that stay as they are.

    Raises:
        StoreError: The lake can't be read or written.
    """
    staging = store.path(STAGING, partition.path)
    with failures():
        if not (store.local and _exchange(staging, store.path(partition.path), kept)):
            with store.filesystem.open_output_stream(f"{staging}/{_READY}.tmp") as stream:
                stream.write(orjson.dumps(merged))
            store.filesystem.move(f"{staging}/{_READY}.tmp", f"{staging}/{_READY}")
            _finish(store, partition)
        store.filesystem.delete_dir(staging)


def recover(store: LakeStore, partition: Partition) -> None:
    """Completes, or clears away, what a crash cut short, a write or a compaction.

    Call it with the partition locked, before looking at it.

    Raises:
        StoreError: The lake can't be read or written.
    """
    staging = store.path(STAGING, partition.path)
    with failures():
        if store.filesystem.get_file_info(staging).type != fs.FileType.Directory:
            return
        if store.filesystem.get_file_info(f"{staging}/{_READY}").type == fs.FileType.File:
            _finish(store, partition)
        store.filesystem.delete_dir(staging)


def _exchange(staging: str, folder: str, kept: Sequence[str]) -> bool:
    """Exchanges two local folders at once; False where this system can't."""
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "renameat2"):
        return False
    for name in kept:
        os.link(f"{folder}/{name}", f"{staging}/{name}")
    sync_folder(staging)
    if library.renameat2(_AT_FDCWD, os.fsencode(staging), _AT_FDCWD, os.fsencode(folder), _RENAME_EXCHANGE) == 0:
        sync_folder(str(Path(folder).parent))
        return True
    number = ctypes.get_errno()
    if number not in _NOT_SUPPORTED:
        raise OSError(number, os.strerror(number), folder)
    for name in kept:
        Path(staging, name).unlink()
    return False


def _finish(store: LakeStore, partition: Partition) -> None:
    """Takes the old files away and shows the new ones; does the rest of it where some of it is done."""
    staging, folder = store.path(STAGING, partition.path), store.path(partition.path)
    with store.filesystem.open_input_stream(f"{staging}/{_READY}") as stream:
        merged: list[str] = orjson.loads(stream.read())
    there = {info.base_name for info in store.infos(folder)}  # of an object store's folder nothing may be left
    for name in merged:
        if name in there:
            store.filesystem.delete_file(f"{folder}/{name}")
    for info in store.infos(staging):
        if info.base_name.endswith(SUFFIX):
            store.filesystem.move(info.path, f"{folder}/{info.base_name}")
