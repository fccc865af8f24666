"""Writes every dashboard to `grafana/dashboards`, or tells which files are not what the code says (`--check`)."""

import sys
from pathlib import Path

from grafana.generator import alerts, databases, feeds, kafka, market, serving, streaming, system
from grafana.generator.board import Board

FOLDER = Path(__file__).parents[1] / "dashboards"
BOARDS: dict[str, Board] = {
    "system": system.BOARD,
    "feeds": feeds.BOARD,
    "kafka": kafka.BOARD,
    "streaming": streaming.BOARD,
    "databases": databases.BOARD,
    "serving": serving.BOARD,
    "market": market.BOARD,
    "alerts": alerts.BOARD,
}


def main(arguments: list[str]) -> int:
    """Writes what differs and removes what is no dashboard any more; with `--check` only says so, and fails."""
    texts = {FOLDER / f"{name}.json": board.text(name) for name, board in BOARDS.items()}
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text() != text]
    gone = [path for path in FOLDER.glob("*.json") if path not in texts]
    if "--check" in arguments:
        for path in (*stale, *gone):
            print(f"{path.name} is not what grafana/generator says", file=sys.stderr)  # noqa: T201  # a command's output
        return int(bool(stale or gone))
    for path in stale:
        path.write_text(texts[path])
    for path in gone:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
