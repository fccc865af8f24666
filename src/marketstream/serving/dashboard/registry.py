"""Every page, in the order of the navigation."""

from collections.abc import Sequence

from marketstream.serving.dashboard import export, market, pairs, signals, system
from marketstream.serving.dashboard.page import Page
from marketstream.serving.dashboard.sources import Sources

PAGES: Sequence[Page] = (market.PAGE, pairs.PAGE, signals.PAGE, export.PAGE, system.PAGE)


def pages_for(sources: Sources) -> list[Page]:
    """Those that have something to show.

    Raises:
        ValueError: Two pages share a name or a path.
    """
    for names in ([page.name for page in PAGES], [page.path for page in PAGES]):
        if len(set(names)) < len(names):
            raise ValueError(f"two pages share one of {', '.join(names)}")
    return [page for page in PAGES if page.available(sources)]
