"""Puts dead letters back: trades onto `tick_data`, each exactly once, and everything else onto its own topic.

Writes: `tick_data`, `quote_data`, `trade_cancels`, `provider_bars`, `aggregated_data_*` (topics), `dead_letter_marks`.

What is no trade is stored by its natural key, so that publishing it again changes nothing; a letter that is marked as
put back is not published again all the same. A letter is marked last, once the broker has what was in it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from marketstream.contracts.dead_letters import Letter, LetterId, Reinjection, Treated, Treatment
from marketstream.contracts.messages import DeadLetterMark, encode
from marketstream.contracts.topics import DEAD_LETTER_MARKS
from marketstream.ports import Clock, Publisher
from marketstream.producers import patient
from marketstream.producers.dead_letters.contents import Contents, LetterReader
from marketstream.producers.memory import TradeMemory
from marketstream.producers.past_trades import PastTrades

_STORED_SECONDS = 30.0  # how long the report waits for the trades' being stored
_FAULTS_TOLD = 5
_FORGOTTEN = "its day has bars, but its trades are no longer kept: whether it is among them can't be told"


@dataclass(slots=True)
class _Case:
    """A letter in work."""

    letter: Letter
    contents: Contents
    published: int = 0
    already_there: int = 0
    faults: list[str] = field(default_factory=list)

    def treated(self) -> Treated:
        treatment: Treatment = "refused"
        if self.published:
            treatment = "published"
        elif self.already_there and not self.faults:
            treatment = "already_there"
        more = len(self.faults) - _FAULTS_TOLD
        told = "; ".join(self.faults[:_FAULTS_TOLD]) + (f"; and {more} more" if more > 0 else "")
        return Treated(
            letter_id=self.letter.letter_id,
            treatment=treatment,
            published=self.published,
            already_there=self.already_there,
            detail=told,
        )


class Reinjector:
    """Puts letters back. Make a new one for each use.

    Args:
        reader: Reads the letters.
        trades: Publishes the trades.
        memory: Tells which days' trades can still be recognised.
        publisher: Takes everything else, and the marks.
        clock: Dates the marks.
    """

    def __init__(
        self,
        reader: LetterReader,
        trades: PastTrades,
        memory: TradeMemory,
        publisher: Publisher,
        clock: Clock,
    ) -> None:
        self._reader = reader
        self._trades = trades
        self._memory = memory
        self._publisher = publisher
        self._clock = clock

    def reinject(self, letters: Sequence[Letter], *, dry_run: bool, absent: Sequence[LetterId] = ()) -> Reinjection:
        """Publishes what is in the letters and passes today's checks.

        Args:
            letters: The letters, in the order in which their contents are to be published.
            dry_run: Only tell what would happen.
            absent: Ids for which there was no letter.

        Raises:
            BusError: Kafka is away, or doesn't take the messages.
            StoreUnavailableError: The database is away, its writer is behind, or somebody else is publishing.
        """
        cases = [self._open(letter) for letter in letters]
        self._put_trades(cases, self._trades.missing if dry_run else self._trades.publish)
        trades_published = any(case.published for case in cases)
        self._put_others(cases, dry_run=dry_run)
        treated = [case.treated() for case in cases]
        stored = None
        if not dry_run:
            self._mark(treated)
            stored = self._trades.wait_stored(_STORED_SECONDS) if trades_published else None
        treated += [_gone(letter_id) for letter_id in absent]
        return Reinjection(dry_run=dry_run, stored=stored, more=False, treated=treated)

    def _open(self, letter: Letter) -> _Case:
        contents = self._reader.read(letter.letter)
        forgotten = [trade for trade in contents.trades if self._memory.forgets(trade.symbol, trade.event_time_us)]
        contents.trades = [trade for trade in contents.trades if trade not in forgotten]
        contents.faults += [_FORGOTTEN] * len(forgotten)
        return _Case(letter, contents, faults=list(contents.faults))

    def _put_trades(self, cases: Sequence[_Case], put: Callable[..., list[bool]]) -> None:
        owned = [(case, trade) for case in cases for trade in case.contents.trades]
        for (case, _), published in zip(owned, put([trade for _, trade in owned]), strict=True):
            if published:
                case.published += 1
            else:
                case.already_there += 1

    def _put_others(self, cases: Sequence[_Case], *, dry_run: bool) -> None:
        for case in cases:
            for topic, value in case.contents.others:
                if case.letter.mark is not None:
                    case.already_there += 1
                    continue
                if not dry_run:
                    patient.put(self._publisher, topic, value.symbol, encode(value))
                case.published += 1
        patient.flush(self._publisher)

    def _mark(self, treated: Sequence[Treated]) -> None:
        now_us = self._clock.now_us()
        for each in treated:
            if each.treatment != "refused":
                mark = DeadLetterMark(
                    letter_id=each.letter_id,
                    published=each.published,
                    already_there=each.already_there,
                    time_us=now_us,
                )
                patient.put(self._publisher, DEAD_LETTER_MARKS, each.letter_id, encode(mark))
        patient.flush(self._publisher)


def _gone(letter_id: LetterId) -> Treated:
    return Treated(
        letter_id=str(letter_id),
        treatment="refused",
        published=0,
        already_there=0,
        detail="there is no dead letter at this place, or none any more: they are kept for 7 days",
    )
