"""Asks the exporters and the machine for their figures. Reads: every exporter's `/metrics`, `/proc`."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psutil

from marketstream.serving.platform_metrics import Scraped

_WAIT_SECONDS = 3.0


class Scraper:
    """Asks exporters at the same time. Opens nothing before the first call.

    Args:
        addresses: Of their pages of metrics.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = tuple(addresses)

    def __call__(self) -> Scraped:
        """What they say, and who does not answer."""
        with ThreadPoolExecutor(max_workers=len(self._addresses)) as pool:
            said = dict(zip(self._addresses, pool.map(_page, self._addresses), strict=True))
        return Scraped(
            texts=[text for text in said.values() if text is not None],
            missing=[address for address, text in said.items() if text is None],
        )


def machine() -> dict[str, Any]:
    """Processors and memory of this machine."""
    memory = psutil.virtual_memory()
    return {
        "cores": psutil.cpu_count() or 1,
        "cpu_percent": psutil.cpu_percent(),
        "load_1min": os.getloadavg()[0],
        "memory_bytes": memory.total,
        "memory_available_bytes": memory.available,
    }


def _page(address: str) -> str | None:
    try:
        answer = httpx.get(address, timeout=_WAIT_SECONDS)
    except httpx.HTTPError:
        return None
    return answer.text if answer.status_code == httpx.codes.OK else None
