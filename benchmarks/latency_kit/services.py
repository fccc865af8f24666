"""What each of the platform's processes uses: cores and memory."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psutil
from common.machine import Tree

from marketstream.testing.platform import Platform


@contextmanager
def watched(platform: Platform) -> Iterator[dict[str, Tree]]:
    """A `Tree` for each service that has a process, watching while the block lasts."""
    pids = {service["name"]: service["pid"] for service in platform.status()["services"] if service.get("pid")}
    trees = {name: Tree([psutil.Process(pid)]) for name, pid in pids.items() if psutil.pid_exists(pid)}
    with ExitStack() as stack:
        for tree in trees.values():
            stack.enter_context(tree)
        yield trees


def usage(trees: dict[str, Tree]) -> dict[str, dict[str, float]]:
    """Cores and MiB of each service, the busiest first."""
    found = {}
    for name, tree in trees.items():
        begin, end = tree.samples[0].moment, tree.samples[-1].moment
        cores = tree.cpu_seconds(begin, end) / max(end - begin, 1e-9)
        found[name] = {"cores": cores, "mib": tree.peak_bytes / 2**20}
    return dict(sorted(found.items(), key=lambda each: -each[1]["cores"]))
