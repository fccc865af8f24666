"""The validator against a plain reckoning that forgets nothing."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from marketstream.domain.market import Tick
from marketstream.domain.outcomes import Reason
from marketstream.producers.validation import Refusal, TickValidator, Verdict

SECOND = 1_000_000
START = 1_700_000_000 * SECOND
LATENESS_SECONDS = 5


def tick(offset_ms: int, trade_id: int, symbol: str = "A") -> Tick:
    return Tick(
        symbol=symbol,
        price=1.0,
        size=1.0,
        event_time_us=START + offset_ms * 1_000,
        received_time_us=START,
        provider="p",
        trade_id=str(trade_id),
    )


ticks = st.builds(
    tick,
    offset_ms=st.integers(min_value=0, max_value=40_000),
    trade_id=st.integers(min_value=0, max_value=2**62),
    symbol=st.sampled_from("AB"),
)
arrivals = st.lists(ticks, max_size=60).flatmap(
    # Each tick may come again, anywhere later.
    lambda once: st.lists(st.sampled_from(once), max_size=20).map(lambda again: once + again) if once else st.just(once)
)


@dataclass
class Ledger:
    """What the rules say, with all that ever was accepted."""

    newest_us: dict[str, int] = field(default_factory=dict)
    seen: set[tuple[str, str]] = field(default_factory=set)

    def expected(self, each: Tick) -> Verdict | Reason:
        if each.event_time_us < self.newest_us.get(each.symbol, 0) - LATENESS_SECONDS * SECOND:
            return Reason.LATE
        if (each.symbol, each.trade_id) in self.seen:
            return Verdict.DUPLICATE
        self.seen.add((each.symbol, each.trade_id))
        self.newest_us[each.symbol] = max(each.event_time_us, self.newest_us.get(each.symbol, 0))
        return Verdict.ACCEPTED


def verdicts(validator: TickValidator, sequence: list[Tick]) -> list[Verdict | Reason]:
    judged = [validator.judge(each, START + 60 * SECOND) for each in sequence]
    return [verdict.reason if isinstance(verdict, Refusal) else verdict for verdict in judged]


def accepted(validator: TickValidator, sequence: list[Tick]) -> list[Tick]:
    judged = zip(sequence, verdicts(validator, sequence), strict=True)
    return [each for each, verdict in judged if verdict is Verdict.ACCEPTED]


def fresh() -> TickValidator:
    return TickValidator("AB", LATENESS_SECONDS)


def distinct(sequence: list[Tick]) -> list[Tick]:
    """The ticks, each id of a symbol once: what a provider that keeps its word sends."""
    return list({(each.symbol, each.trade_id): each for each in sequence}.values())


@given(sequence=arrivals.map(lambda sequence: [each for each in sequence if each in distinct(sequence)]))
def test_forgetting_what_is_too_old_changes_no_verdict(sequence: list[Tick]) -> None:
    ledger = Ledger()
    assert verdicts(fresh(), sequence) == [ledger.expected(each) for each in sequence]


@given(sequence=st.lists(ticks, max_size=60).map(distinct), data=st.data())
def test_order_of_arrival_within_the_lateness_changes_nothing(sequence: list[Tick], data: st.DataObject) -> None:
    # Each tick is delayed by less than the lateness, and they come in order of their delayed times.
    delays = data.draw(
        st.lists(
            st.integers(min_value=0, max_value=LATENESS_SECONDS * SECOND),
            min_size=len(sequence),
            max_size=len(sequence),
        )
    )
    paired = sorted(zip(sequence, delays, strict=True), key=lambda pair: pair[0].event_time_us + pair[1])
    assert accepted(fresh(), [each for each, _ in paired]) == [each for each, _ in paired]


@given(sequence=st.lists(ticks, max_size=60).map(distinct), cut=st.integers(min_value=0, max_value=60))
def test_a_restart_doubles_and_loses_nothing(sequence: list[Tick], cut: int) -> None:
    before = fresh()
    published = accepted(before, sequence[:cut])
    after = fresh()
    after.restore(reversed(published))
    again = sequence[max(0, cut - 20) :]  # the provider repeats its last trades
    whole = accepted(fresh(), sequence)
    assert published + accepted(after, again) == whole


@given(sequence=st.lists(ticks, max_size=200))
def test_memory_holds_two_spans_at_most(sequence: list[Tick]) -> None:
    validator = fresh()
    accepted(validator, sequence)
    newest = {symbol: validator.newest_us(symbol) or 0 for symbol in "AB"}
    recent = {
        (each.symbol, each.trade_id)
        for each in sequence
        if each.event_time_us >= newest[each.symbol] - 2 * LATENESS_SECONDS * SECOND
    }
    assert validator.remembered() <= len(recent)
