"""What the OpenAPI description can't say of a request that is to be taken: generated valid ones are made to keep to it.

That times are times and a start comes before its end, that windows and symbols are those there are, that a cursor is
the one an answer gave, and that letters are named by ids or by a filter. Generated invalid requests stay as they are.
"""

from typing import Any

import schemathesis

KNOWN = {"window": "1min", "symbol": "BTCUSDT", "since": "2023-11-14T22:13:00Z"}
START, END = "1699999980", "2023-11-14T22:15:00Z"


@schemathesis.hook
def map_case(_context: Any, case: Any) -> Any:
    """Replaces what cannot be meant."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return case
    query = case.query if isinstance(case.query, dict) else {}
    query.pop("cursor", None)
    query.update({name: value for name, value in KNOWN.items() if name in query})
    query.update({name: value for name, value in (("start", START), ("end", END)) if name in query})
    if isinstance(case.body, dict):
        case.body.update({name: value for name, value in KNOWN.items() if case.body.get(name) is not None})
        named = [name for name in ("reason", "provider", "symbol", "since") if case.body.get(name) is not None]
        if case.body.get("ids"):
            for name in named:
                del case.body[name]
        elif not named:
            case.body["reason"] = "late"
    return case
