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


def of_each_symbol(statement: str) -> str:
    """The same statement for each of `symbols` instead of for one `symbol`, by one index scan each.

    Raises:
        ValueError: It is about no symbol.
    """
    if "%(symbol)s" not in statement:
        raise ValueError("the statement is about no symbol")
    inner = statement.replace("%(symbol)s", "wanted.symbol")
    wanted = "select distinct symbol from unnest(%(symbols)s::text[]) as named (symbol)"
    return f"select found.* from ({wanted}) as wanted cross join lateral (\n{inner}\n) as found"  # noqa: S608  # own text


QUERIES = parse_queries(files(__package__).joinpath("queries.sql").read_text())
QUERIES |= {
    f"{name}_of": of_each_symbol(QUERIES[name])
    for name in ("latest_tick", "ticks", "bars", "bars_and_rolled_up", "indicators")
}
