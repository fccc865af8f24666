"""The named statements of `queries.sql`."""

import re
from importlib.resources import files


def parse_queries(text: str) -> dict[str, str]:
    """Cuts a file into statements: each is what follows its `-- name:` line, up to the next.

    Raises:
        ValueError: A name is given twice.
    """
    parts = re.split(r"^-- name: (\w+)$", text, flags=re.MULTILINE)[1:]
    names, statements = parts[::2], parts[1::2]
    if len(set(names)) != len(names):
        raise ValueError("a statement's name is given twice")
    return {name: statement.strip() for name, statement in zip(names, statements, strict=True)}


QUERIES = parse_queries(files(__package__).joinpath("queries.sql").read_text())
