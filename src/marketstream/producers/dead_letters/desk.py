"""Looks through the dead letters and hands them to re-injection.

Reads: `dead_letter_queue` (7 days of it, from the newest back), `dead_letter_marks`.
"""

from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace

from marketstream.bus.topic_reader import Reading, TopicReader
from marketstream.contracts.dead_letters import (
    MAX_REINJECTED,
    Letter,
    LetterFilter,
    LetterGroup,
    LetterGroups,
    LetterId,
    LetterPlace,
    Letters,
    Reinjection,
)
from marketstream.contracts.messages import DeadLetter, DeadLetterMark, decode_dead_letter, decode_dead_letter_mark
from marketstream.domain.outcomes import Reason
from marketstream.ports import Message
from marketstream.producers.dead_letters.reinjection import Reinjector

_Key = tuple[Reason, str]


@dataclass(slots=True)
class _Tally:
    """One group while it is counted."""

    count: int
    symbols: set[str]
    first_us: int
    last_us: int
    example: Letter


class TopicDesk:
    """A `DeadLetterDesk` over the topics.

    Args:
        letters: Reads `dead_letter_queue`.
        marks: Reads `dead_letter_marks`.
        reinjector: Makes what puts letters back, anew for each use.
    """

    def __init__(self, letters: TopicReader, marks: TopicReader, reinjector: Callable[[], Reinjector]) -> None:
        self._letters = letters
        self._marks = marks
        self._reinjector = reinjector

    def letters(self, wanted: LetterFilter, limit: int, before: LetterPlace | None = None) -> Letters:
        """The newest `limit` letters of these that stand before a place."""
        found, more, reading = self._newest(wanted, limit, before=before)
        return Letters(letters=self._marked(found), more=more or not reading.complete, scanned=reading.messages)

    def groups(self, wanted: LetterFilter) -> LetterGroups:
        """Counts these letters by reason and provider."""
        reading = self._letters.reading()
        tallies: dict[_Key, _Tally] = {}
        with closing(self._letters.rounds(reading, wanted.since_us)) as rounds:
            for part in rounds:
                for letter in _decoded(part.messages, wanted):
                    _count(tallies, letter)
        groups = sorted((_group(*entry) for entry in tallies.items()), key=lambda group: -group.count)
        return LetterGroups(groups=groups, complete=reading.complete, scanned=reading.messages)

    def letter(self, letter_id: LetterId) -> Letter | None:
        """One letter; None where there is none, or none any more."""
        message = self._letters.message(letter_id.partition, letter_id.offset)
        found = list(_decoded([message], LetterFilter())) if message else []
        return self._marked(found)[0] if found else None

    def reinject(self, which: Sequence[LetterId] | LetterFilter, *, dry_run: bool) -> Reinjection:
        """Reads the letters with today's adapters and publishes what passes, each trade exactly once."""
        if isinstance(which, LetterFilter):
            found, more, reading = self._newest(which, MAX_REINJECTED, unmarked=True)
            result = self._reinjector().reinject(found[::-1], dry_run=dry_run)
            return replace(result, more=more or not reading.complete)
        wanted = list(dict.fromkeys(which))
        letters = {letter_id: self.letter(letter_id) for letter_id in wanted}
        present = [letter for letter in letters.values() if letter is not None]
        absent = [letter_id for letter_id, letter in letters.items() if letter is None]
        return self._reinjector().reinject(present, dry_run=dry_run, absent=absent)

    def _newest(
        self, wanted: LetterFilter, limit: int, *, unmarked: bool = False, before: LetterPlace | None = None
    ) -> tuple[list[Letter], bool, Reading]:
        """The newest matching letters, the newest first, and whether older ones were found too."""
        marks = self._all_marks(wanted.since_us) if unmarked else {}
        reading = self._letters.reading()
        found: list[Letter] = []
        with closing(self._letters.rounds(reading, wanted.since_us)) as rounds:
            for part in rounds:
                found += [
                    letter
                    for letter in _decoded(part.messages, wanted)
                    if letter.letter_id not in marks and (before is None or (letter.time_us, letter.letter_id) < before)
                ]
                found.sort(key=lambda letter: (letter.time_us, letter.letter_id), reverse=True)
                certain = sum(letter.time_us > part.settled_ms * 1_000 for letter in found[: limit + 1])
                del found[limit + 1 :]
                if certain > limit:
                    reading.complete = True  # everything asked for is there
                    break
        return found[:limit], len(found) > limit, reading

    def _marked(self, letters: list[Letter]) -> list[Letter]:
        """The letters with their marks, which are always younger."""
        if not letters:
            return letters
        marks = self._all_marks(min(letter.time_us for letter in letters))
        return [replace(letter, mark=marks.get(letter.letter_id)) for letter in letters]

    def _all_marks(self, since_us: int | None) -> dict[str, DeadLetterMark]:
        marks: dict[str, DeadLetterMark] = {}
        with closing(self._marks.rounds(self._marks.reading(), since_us)) as rounds:
            for part in rounds:
                for message in part.messages:
                    with suppress(ValueError):  # not ours
                        mark = decode_dead_letter_mark(message.value)
                        known = marks.get(mark.letter_id)
                        if known is None or known.time_us <= mark.time_us:
                            marks[mark.letter_id] = mark
        return marks


def _decoded(messages: Sequence[Message], wanted: LetterFilter) -> list[Letter]:
    letters = []
    for message in messages:
        try:
            letter = decode_dead_letter(message.value)
        except ValueError:
            continue  # no letter of ours; there is nothing to do with it
        if wanted.takes(letter):
            letters.append(_letter(message, letter))
    return letters


def _letter(message: Message, letter: DeadLetter) -> Letter:
    place = str(LetterId(message.partition, message.offset))
    return Letter(letter_id=place, time_us=message.timestamp_ms * 1_000, letter=letter)


def _count(tallies: dict[_Key, _Tally], letter: Letter) -> None:
    key = (letter.letter.reason, letter.letter.provider)
    tally = tallies.get(key)
    if tally is None:
        tally = tallies[key] = _Tally(0, set(), letter.time_us, letter.time_us, letter)
    tally.count += 1
    tally.first_us = min(tally.first_us, letter.time_us)
    if letter.time_us > tally.last_us:
        tally.last_us, tally.example = letter.time_us, letter
    if letter.letter.symbol is not None and len(tally.symbols) < 100_000:
        tally.symbols.add(letter.letter.symbol)


def _group(key: _Key, tally: _Tally) -> LetterGroup:
    reason, provider = key
    return LetterGroup(
        reason=reason,
        provider=provider,
        count=tally.count,
        symbols=len(tally.symbols),
        first_us=tally.first_us,
        last_us=tally.last_us,
        example_id=tally.example.letter_id,
        example_detail=tally.example.letter.detail,
    )
