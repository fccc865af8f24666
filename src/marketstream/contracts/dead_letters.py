"""What is asked of the dead letters and what is answered: the shapes behind the command and the REST endpoints."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, Self

from marketstream.contracts.messages import DeadLetter, DeadLetterMark
from marketstream.domain.outcomes import Reason

_ID = re.compile(r"(\d{1,9}):(\d{1,18})", re.ASCII)
MAX_REINJECTED = 10_000
LetterPlace = tuple[int, str]  # (time_us, letter_id): by which letters are ordered


@dataclass(frozen=True, slots=True, order=True)
class LetterId:
    """Where a letter stands on `dead_letter_queue`; written `partition:offset`."""

    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `2:1734`.

        Raises:
            ValueError: The text is no such place.
        """
        match = _ID.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is no dead letter's id; ids are partition:offset, such as 2:1734")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A dead letter and what became of it.

    Attributes:
        letter_id: Its place, `partition:offset`.
        time_us: When it was put there.
        letter: What was refused, and why.
        mark: Its re-injection, where there was one.
    """

    letter_id: str
    time_us: int
    letter: DeadLetter
    mark: DeadLetterMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFilter:
    """Which letters; None means any.

    Attributes:
        reason: Refused for this.
        provider: Of this provider, or set aside by this writer.
        symbol: Of this canonical symbol.
        since_us: Put on the topic at or after this.
    """

    reason: Reason | None = None
    provider: str | None = None
    symbol: str | None = None
    since_us: int | None = None

    def takes(self, letter: DeadLetter) -> bool:
        """Whether the letter is one of these, but for its time."""
        return (
            self.reason in (None, letter.reason)
            and self.provider in (None, letter.provider)
            and self.symbol in (None, letter.symbol)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Letters:
    """Letters, the newest first.

    Attributes:
        letters: At most as many as asked for.
        more: Whether older ones were found or may be there that are not among them.
        scanned: How many messages were looked at.
    """

    letters: Sequence[Letter]
    more: bool
    scanned: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterGroup:
    """All letters of one reason and provider.

    Attributes:
        reason: Why they were refused.
        provider: Whose they are.
        count: How many.
        symbols: How many different symbols they name.
        first_us: When the oldest was put on the topic.
        last_us: When the newest was.
        example_id: The newest one's id.
        example_detail: What exactly was wrong with that one.
    """

    reason: Reason
    provider: str
    count: int
    symbols: int
    first_us: int
    last_us: int
    example_id: str
    example_detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterGroups:
    """Every group, the largest first.

    Attributes:
        groups: By reason and provider.
        complete: Whether every letter asked for was looked at; else the oldest are missing.
        scanned: How many messages were looked at.
    """

    groups: Sequence[LetterGroup]
    complete: bool
    scanned: int


Treatment = Literal["published", "already_there", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Treated:
    """What a re-injection did with one letter, or would do.

    Attributes:
        letter_id: Which one.
        treatment: `published` if anything of it was; `already_there` if there was nothing left to publish; else
            `refused`.
        published: How many of its messages were published.
        already_there: How many were on their topic already.
        detail: Why something is still refused; empty where nothing is.
    """

    letter_id: str
    treatment: Treatment
    published: int
    already_there: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reinjection:
    """What a re-injection did, or would do.

    Attributes:
        dry_run: Nothing was published.
        stored: Every published trade is in the database; None where none was published.
        more: Whether letters that the filter takes were left for another time.
        treated: Each letter.
    """

    dry_run: bool
    stored: bool | None
    more: bool
    treated: Sequence[Treated]

    def count(self, treatment: Treatment) -> int:
        """How many letters were treated so."""
        return sum(each.treatment == treatment for each in self.treated)


class DeadLetterDesk(Protocol):
    """Looks at dead letters and puts them back. Opens nothing before the first call; threads may share it."""

    def letters(self, wanted: LetterFilter, limit: int, before: LetterPlace | None = None) -> Letters:
        """The newest `limit` letters of these that stand before a place.

        Raises:
            BusError: Kafka is away.
        """

    def groups(self, wanted: LetterFilter) -> LetterGroups:
        """Counts these letters by reason and provider.

        Raises:
            BusError: Kafka is away.
        """

    def letter(self, letter_id: LetterId) -> Letter | None:
        """One letter; None where there is none, or none any more.

        Raises:
            BusError: Kafka is away.
        """

    def reinject(self, which: Sequence[LetterId] | LetterFilter, *, dry_run: bool) -> Reinjection:
        """Reads the letters with today's adapters and publishes what passes, each trade exactly once.

        Args:
            which: These letters; or the newest `MAX_REINJECTED` of a filter that have not been re-injected yet.
            dry_run: Only tell what would happen.

        Raises:
            BusError: Kafka is away, or doesn't take the messages.
            StoreUnavailableError: The database is away, its writer is behind, or somebody else is publishing past
                trades.
        """
