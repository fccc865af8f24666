"""Where programs and the checkout's own files are."""

import shutil
from pathlib import Path

import marketstream
from marketstream.domain.errors import LaunchError


def checkout(*parts: str) -> Path:
    """A file of the checkout the package lies in, or, for an installed package, of the working directory.

    Raises:
        LaunchError: It is in neither place.
    """
    for root in (Path(marketstream.__file__).parents[2], Path.cwd()):
        path = root.joinpath(*parts)
        if path.exists():
            return path
    raise LaunchError(f"{'/'.join(parts)} is missing: run this from a checkout of marketstream")


def infra(*parts: str) -> Path:
    """A file under `infra`; see `checkout`."""
    return checkout("infra", *parts)


def on_path(name: str) -> Path | None:
    """An executable on PATH."""
    found = shutil.which(name)
    return Path(found) if found else None
