"""What runs inside Redis, in one piece each: a batch, the search for the newest price, a topic's offsets afresh."""

from importlib.resources import files

import orjson

from marketstream.domain.conditions import TradeRules

_FOLDER = files(__package__)
_STANDING = _FOLDER.joinpath("standing.lua").read_text()

APPLY = _STANDING + _FOLDER.joinpath("apply.lua").read_text()
CLAIM = _FOLDER.joinpath("claim.lua").read_text()
NEWEST = _STANDING + _FOLDER.joinpath("newest.lua").read_text()


def held_back(rules: TradeRules) -> bytes:
    """JSON for the scripts: by provider, the codes that don't let a trade update the last price, each with true."""
    codes = {
        provider: {code: True for code, updates in known.items() if not updates.last}
        for provider, known in rules.codes.items()
    }
    return orjson.dumps(codes)
