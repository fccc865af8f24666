"""Tells where stored bars are not what the trades make of them, and what would put them right. Pure.

A repair goes the ordinary way, as a message that outranks what is stored: so every store takes it, and no replay of
older messages takes it back.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar

BarKey = tuple[str, str, int]  # (symbol, interval, start_us)
TABLE, LAKE = "aggregated_data", "lake"
Kind = Literal["missing", "wrong", "overfull", "unexplained"]
_EXACT = ("open", "high", "low", "close", "trade_count")
_VOLUME_RELATIVE, _VWAP_RELATIVE = 1e-12, 1e-9  # sums of fractions depend on their order


@dataclass(frozen=True, slots=True)
class RebuildRequest:
    """What to look at, and what to do about it.

    Attributes:
        start_us: Bars that end after this.
        end_us: Bars that start before this.
        symbols: Whose; none for everybody's.
        intervals: Which bars.
        source: Where the trades are taken from.
        repair: Whether differences are repaired.
        drop_trades: Whether a bar is repaired too that has trades which the source lacks, as far as the source reaches.
    """

    start_us: int
    end_us: int
    symbols: tuple[str, ...]
    intervals: tuple[Interval, ...]
    source: Literal["lake", "table"] = "lake"
    repair: bool = False
    drop_trades: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """A bar that is not as its trades make it.

    Attributes:
        kind: `missing` where it should be; `wrong` with no more trades than there are; `overfull` with more;
            `unexplained` where the source has no trade at all.
        store: Where it was found.
        key: Which bar.
        stored: As it is.
        recomputed: As it should be.
    """

    kind: Kind
    store: str
    key: BarKey
    stored: Bar | None
    recomputed: Bar | None

    @property
    def doubted(self) -> bool:
        """Whether the bar has trades that the source, maybe incomplete, lacks."""
        return self.kind in ("overfull", "unexplained")

    @property
    def end_us(self) -> int:
        """Where the bar ends."""
        bar = self.stored or self.recomputed
        assert bar is not None  # noqa: S101  # a difference has one or the other
        return bar.end_us


@dataclass(slots=True)
class Report:
    """What a run found and did.

    Attributes:
        bars: How many bars were recomputed.
        differences: How many differences of each kind each store has.
        examples: The first of them.
        ticks_missing: How many trades of the lake the table lacks.
        repaired: How many bars were published anew.
        ticks_restored: How many trades were put back.
        left: How many differing bars were not repaired.
        days_skipped: How many days the source does not keep, so that they were not looked at.
    """

    bars: int = 0
    differences: Counter[tuple[str, Kind]] = field(default_factory=Counter)
    examples: list[Difference] = field(default_factory=list)
    ticks_missing: int = 0
    repaired: int = 0
    ticks_restored: int = 0
    left: int = 0
    days_skipped: int = 0

    @property
    def clean(self) -> bool:
        """Whether all was looked at and nothing differs, or nothing any more once the writers have applied it."""
        unrestored = self.ticks_missing - self.ticks_restored
        return not self.left and not unrestored and not self.days_skipped

    def add(self, differences: Sequence[Difference], examples_max: int = 20) -> None:
        """Counts differences."""
        self.differences.update((each.store, each.kind) for each in differences)
        self.examples += differences[: max(0, examples_max - len(self.examples))]


def compare(store: str, recomputed: Mapping[int, Bar], stored: Mapping[int, Bar]) -> list[Difference]:
    """How one store's bars of a symbol and interval differ from the recomputed ones; both by start."""
    found = []
    for start_us in sorted({*recomputed, *stored}):
        have, want = stored.get(start_us), recomputed.get(start_us)
        kind = _kind(have, want)
        if kind is not None:
            bar = have or want
            assert bar is not None  # noqa: S101  # it is in one of the two
            found.append(Difference(kind, store, (bar.symbol, bar.interval, start_us), have, want))
    return found


def _kind(stored: Bar | None, recomputed: Bar | None) -> Kind | None:
    if recomputed is None:  # a provider's own bar needs no trades of ours, and a void one says that there are none
        return None if stored is None or stored.provider is not None or stored.void else "unexplained"
    if stored is None or stored.provider is not None:
        return "missing"
    if stored.trade_count > recomputed.trade_count:
        return "overfull"
    return None if same_values(stored, recomputed) else "wrong"


def same_values(one: Bar, other: Bar) -> bool:
    """Whether two bars made from trades say the same, whatever their versions."""
    if any(getattr(one, name) != getattr(other, name) for name in _EXACT):
        return False
    # A corrected bar keeps the times of trades that were taken out of it.
    if one.last_event_time_us != other.last_event_time_us and not (one.cancelled or other.cancelled):
        return False
    vwaps = (one.vwap or 0.0, other.vwap or 0.0)
    return _close(one.volume, other.volume, _VOLUME_RELATIVE) and _close(*vwaps, _VWAP_RELATIVE)


def repairs(differences: Sequence[Difference], *, drop_until_us: int = 0) -> dict[BarKey, Bar]:
    """The final bars to publish; a difference that this can't or may not repair has none.

    Args:
        differences: Of all stores.
        drop_until_us: Trades that the source lacks are taken out of bars that end by then.
    """
    doubted = {each.key for each in differences if each.doubted and each.end_us > drop_until_us}
    stored: dict[BarKey, list[Bar]] = {}
    wanted: dict[BarKey, Bar] = {}
    for each in differences:
        if each.key in doubted:
            continue
        wanted[each.key] = each.recomputed or _void(each.stored)
        if each.stored is not None and each.stored.provider is None:
            stored.setdefault(each.key, []).append(each.stored)
    return {key: outranking(bar, stored.get(key, [])) for key, bar in wanted.items()}


def lagging_in_lake(differences: Sequence[Difference], table: Mapping[int, Bar]) -> dict[BarKey, Bar]:
    """The table's bars that the lake has not, or in older versions, where the table is right: they need no new one."""
    right = {each.key: table.get(each.key[2]) for each in differences}
    for each in differences:
        bar = right[each.key]
        if each.store == TABLE or (bar and each.stored and each.stored.version >= bar.version):
            right[each.key] = None
    return {key: bar for key, bar in right.items() if bar is not None}


def _void(bar: Bar | None) -> Bar:
    """A bar of which no trade is left."""
    assert bar is not None  # noqa: S101  # a difference has one or the other
    seen = bar.trade_count + bar.cancelled
    return replace(bar, volume=0.0, vwap=bar.close, trade_count=0, cancelled=seen)


def outranking(bar: Bar, stored: Sequence[Bar]) -> Bar:
    """A final version of `bar` that every writer prefers to the stored ones, by `Bar.version`.

    Trades that a stored version has too many are counted as cancelled: they were seen, and are taken out.
    """
    seen = max((each.trade_count + each.cancelled for each in stored), default=0)
    taken_out = max((each.cancelled for each in stored), default=0)
    revision = max((each.revision + 1 for each in stored if each.final), default=0)
    cancelled = max(bar.cancelled, taken_out, seen - bar.trade_count)
    return replace(bar, final=True, revision=revision, cancelled=cancelled)


def _close(one: float, other: float, relative: float) -> bool:
    return abs(one - other) <= relative * max(abs(one), abs(other))
