"""Where the checkout's own files and the platform's run-time files are."""

from pathlib import Path

import marketstream
from marketstream.domain.errors import LaunchError


def infra(*parts: str) -> Path:
    """A file under the checkout's `infra` folder, or under one beside the working directory for an installed package.

    Raises:
        LaunchError: It is in neither place.
    """
    roots = (Path(marketstream.__file__).parents[2], Path.cwd())
    for root in roots:
        path = root.joinpath("infra", *parts)
        if path.exists():
            return path
    raise LaunchError(f"infra/{'/'.join(parts)} is missing: run this from a checkout of marketstream")
