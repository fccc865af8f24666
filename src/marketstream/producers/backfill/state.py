"""How far a backfill has come, in a file that survives a crash at any moment. Writes: `<data_dir>/backfill/`."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
from pydantic import TypeAdapter, ValidationError

from marketstream.domain.errors import ConfigurationError
from marketstream.producers.backfill.request import BackfillRequest


@dataclass(slots=True)
class SymbolProgress:
    """How far one symbol is.

    Attributes:
        next_us: Everything before this point in time is on its topic; of the rest, some may be.
        published: Messages published.
        already_there: Trades fetched that were on the topic before.
        refused: Pieces of the answers that became dead letters.
        done: Nothing is left to fetch.
    """

    next_us: int
    published: int = 0
    already_there: int = 0
    refused: int = 0
    done: bool = False


Progress = dict[str, SymbolProgress]
_SYMBOLS = TypeAdapter(Progress)


class StateFile:
    """A request's state. The file may lag behind what was published, and is never ahead of it.

    Args:
        folder: Where backfills keep their states; made when needed.
        request: Names the file.
    """

    def __init__(self, folder: Path, request: BackfillRequest) -> None:
        self._request = request
        self.path = folder / f"{request.fingerprint}.json"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps others from running the same backfill during the block; goes with the process.

        Raises:
            ConfigurationError: It is running already.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigurationError("the same backfill is already running") from None
            yield

    def load(self) -> Progress | None:
        """What was saved last; None where nothing was.

        Raises:
            ConfigurationError: The file can't be read.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            progress = _SYMBOLS.validate_python(orjson.loads(content)["progress"])
        except (ValueError, KeyError, TypeError, ValidationError):
            progress = {}
        if progress.keys() != set(self._request.symbols):
            raise ConfigurationError(f"{self.path} can't be read: begin anew with --restart")
        return progress

    def save(self, progress: Mapping[str, SymbolProgress]) -> None:
        """Replaces the file, or leaves it as it is if anything dies meanwhile."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = {"request": self._request.facts(), "progress": dict(progress)}
        beside = self.path.with_suffix(".new")
        with beside.open("wb") as file:
            file.write(orjson.dumps(content, option=orjson.OPT_INDENT_2))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.path)
