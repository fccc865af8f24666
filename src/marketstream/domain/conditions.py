"""What a trade's sale conditions let it update: a bar's open and close, its high and low, its volume.

Codes are `Tick.conditions`, as the provider names them. A trade with several codes updates what all of them let it. A
code that is not listed, and a provider that is not, changes nothing: the trade updates everything.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

RulesName = Literal["consolidated", "all"]


class Updates(NamedTuple):
    """What a trade updates.

    Attributes:
        last: Open and close, and the latest price.
        high_low: High and low. What updates the last price updates these too.
        volume: Volume and VWAP.
    """

    last: bool
    high_low: bool
    volume: bool


EVERYTHING = Updates(last=True, high_low=True, volume=True)
_VOLUME_ONLY = Updates(last=False, high_low=False, volume=True)
_NOT_LAST = Updates(last=False, high_low=True, volume=True)
_NOTHING = Updates(last=False, high_low=False, volume=False)
_NOT_VOLUME = Updates(last=True, high_low=True, volume=False)

# `update_rules.consolidated` of Massive's (Polygon's) GET /v3/reference/conditions, which are those of the consolidated
# tapes' specifications (CTA: Consolidated Tape System, "Sale Conditions"; UTP: UTDF, "Sale Condition Matrix"). Listed
# are the codes that hold something back; the tapes' exception for a day's only qualifying trade is not made. One
# difference: 12 (Form T, extended hours), which updates only volume there, updates everything, as it does in Massive's
# own minute aggregates; else there would be no bars before and after regular hours.
_US_TAPES = {
    "2": _VOLUME_ONLY,  # average price
    "5": _NOT_LAST,  # bunched sold
    "7": _VOLUME_ONLY,  # cash sale
    "10": _NOT_LAST,  # derivatively priced
    "13": _VOLUME_ONLY,  # extended hours, sold out of sequence
    "15": _NOTHING,  # market center official close: repeats a trade that was reported
    "16": _NOTHING,  # market center official open
    "17": _NOT_LAST,  # market center opening trade
    "20": _VOLUME_ONLY,  # next day
    "21": _VOLUME_ONLY,  # price variation
    "22": _NOT_LAST,  # prior reference price
    "29": _VOLUME_ONLY,  # seller
    "32": _NOT_LAST,  # sold out of sequence
    "33": _NOT_LAST,  # sold out of sequence and stopped stock
    "37": _VOLUME_ONLY,  # odd lot
    "38": _NOT_VOLUME,  # corrected consolidated close
    "52": _VOLUME_ONLY,  # contingent
    "53": _VOLUME_ONLY,  # qualified contingent
}


@dataclass(frozen=True, slots=True)
class TradeRules:
    """Which trades update what.

    Attributes:
        codes: By provider, the codes that hold something back, each with what is left.
    """

    codes: Mapping[str, Mapping[str, Updates]]

    def updates(self, provider: str, conditions: Iterable[str]) -> Updates:
        """What a trade of this provider with these codes updates."""
        known = self.codes.get(provider)
        if known is None:
            return EVERYTHING
        last = high_low = volume = True
        for code in conditions:
            if code in known:
                own = known[code]
                last, high_low, volume = last and own.last, high_low and own.high_low, volume and own.volume
        return Updates(last, high_low, volume)

    def held_back(self, what: Literal["last", "high_low", "volume"]) -> dict[tuple[str, ...], list[str]]:
        """The codes of trades that don't update it, each with their providers: providers by codes."""
        found: dict[tuple[str, ...], list[str]] = {}
        for provider, known in self.codes.items():
            codes = tuple(code for code, updates in known.items() if not getattr(updates, what))
            if codes:
                found.setdefault(codes, []).append(provider)
        return found


# Finage doesn't publish a table of its own; its documented sample, 50 shares with code 37, is numbered like Massive's.
CONSOLIDATED = TradeRules({"polygon": _US_TAPES, "finage": _US_TAPES})
RULES: Mapping[RulesName, TradeRules] = {"consolidated": CONSOLIDATED, "all": TradeRules({})}
