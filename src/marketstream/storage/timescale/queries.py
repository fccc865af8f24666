"""The named statements of `queries.sql`."""

import re
from importlib.resources import files


def load_queries() -> dict[str, str]:
    """Reads the file: a statement is what follows its `-- name:` line, up to the next."""
    text = files(__package__).joinpath("queries.sql").read_text()
    parts = re.split(r"^-- name: (\w+)$", text, flags=re.MULTILINE)[1:]
    names, statements = parts[::2], parts[1::2]
    if len(set(names)) != len(names):
        raise ValueError("queries.sql names a statement twice")
    return {name: statement.strip() for name, statement in zip(names, statements, strict=True)}


QUERIES = load_queries()
