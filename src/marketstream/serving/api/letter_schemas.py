"""The shapes of what is asked and answered about dead letters."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from marketstream.contracts.dead_letters import (
    Letter,
    LetterGroup,
    LetterGroups,
    Letters,
    Reinjection,
    Treated,
    Treatment,
)
from marketstream.domain.outcomes import Reason
from marketstream.serving.api.schemas import NEXT

RAW_EXAMPLE = '{"ev":"T","sym":"IBM","x":4,"i":"52983","p":182.27,"s":100,"t":1700000001198,"q":3681328}'
LETTER_EXAMPLE: dict[str, Any] = {
    "letter_id": "2:1734",
    "time_us": 1_700_000_012_400_000,
    "reason": "late",
    "detail": "11.2 s behind its symbol's newest; 10 s are allowed",
    "provider": "polygon",
    "symbol": "IBM",
    "received_time_us": 1_700_000_012_398_114,
    "raw_size_bytes": len(RAW_EXAMPLE),
    "truncated": False,
    "reinjected_us": None,
}
GROUP_EXAMPLE: dict[str, Any] = {
    "reason": "late",
    "provider": "polygon",
    "count": 128,
    "symbols": 3,
    "first_us": 1_699_999_871_000_000,
    "last_us": 1_700_000_012_400_000,
    "example_id": "2:1734",
    "example_detail": "11.2 s behind its symbol's newest; 10 s are allowed",
}
TREATED_EXAMPLE: dict[str, Any] = {
    "letter_id": "2:1734",
    "treatment": "published",
    "published": 1,
    "already_there": 0,
    "detail": "",
}


class LetterItem(BaseModel):
    """A dead letter without its bytes."""

    letter_id: str = Field(description="Its place on `dead_letter_queue`, `partition:offset`")
    time_us: int = Field(description="When it was put there")
    reason: Reason
    detail: str = Field(description="What exactly was wrong")
    provider: str = Field(description="Whose data it is, or the writer that set it aside")
    symbol: str | None
    received_time_us: int = Field(description="When its frame left our socket")
    raw_size_bytes: int
    truncated: bool = Field(description="Only the first part of its bytes was kept; it can't be put back")
    reinjected_us: int | None = Field(description="When it was put back; null if it wasn't")


class LettersAnswer(BaseModel):
    """Dead letters, the newest first."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"count": 1, "next": None, "more": False, "scanned": 129, "letters": [LETTER_EXAMPLE]}
        }
    )

    count: int
    next: str | None = NEXT
    more: bool = Field(description="Older ones match too, or may")
    scanned: int = Field(description="Letters looked at")
    letters: list[LetterItem]

    @classmethod
    def of(cls, letters: Letters, link: str | None) -> Self:
        """Makes the body."""
        items = [LetterItem(**_fields(letter)) for letter in letters.letters]
        return cls(count=len(items), next=link, more=letters.more, scanned=letters.scanned, letters=items)


class LetterAnswer(LetterItem):
    """A dead letter with its bytes."""

    model_config = ConfigDict(
        json_schema_extra={"example": {**LETTER_EXAMPLE, "raw": RAW_EXAMPLE, "raw_encoding": "utf-8"}}
    )

    raw: str
    raw_encoding: Literal["utf-8", "base64"]

    @classmethod
    def of(cls, letter: Letter) -> Self:
        """Makes the body."""
        return cls(**_fields(letter), raw=letter.letter.raw, raw_encoding=letter.letter.raw_encoding)


class GroupsAnswer(BaseModel):
    """Dead letters by reason and provider, the largest group first."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"count": 1, "complete": True, "scanned": 128, "groups": [GROUP_EXAMPLE]}}
    )

    count: int
    complete: bool = Field(description="Every letter asked for was looked at; else only the newest were")
    scanned: int = Field(description="Letters looked at")
    groups: list[LetterGroup]

    @classmethod
    def of(cls, groups: LetterGroups) -> Self:
        """Makes the body."""
        found = list(groups.groups)
        return cls(count=len(found), complete=groups.complete, scanned=groups.scanned, groups=found)


class ReinjectRequest(BaseModel):
    """Which letters to put back: ids, or a filter."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"reason": "late", "symbol": "IBM", "dry_run": True}}
    )

    ids: list[Annotated[str, Field(pattern=r"^[0-9]{1,9}:[0-9]{1,18}$")]] = Field(default=[], max_length=1_000)
    reason: Reason | None = None
    provider: str | None = Field(default=None, max_length=64)
    symbol: str | None = Field(default=None, max_length=64)
    since: str | None = Field(default=None, max_length=64)
    dry_run: bool = False


class ReinjectionAnswer(BaseModel):
    """What became of each letter."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "dry_run": True,
                "stored": None,
                "more": False,
                "counts": {"published": 1, "already_there": 0, "refused": 0},
                "letters": [TREATED_EXAMPLE],
            }
        }
    )

    dry_run: bool
    stored: bool | None = Field(description="Every published trade is in the database; null if none was published")
    more: bool = Field(description="More letters match; ask again for the rest")
    counts: dict[Treatment, int]
    letters: list[Treated]

    @classmethod
    def of(cls, result: Reinjection) -> Self:
        """Makes the body."""
        treatments: tuple[Treatment, ...] = ("published", "already_there", "refused")
        return cls(
            dry_run=result.dry_run,
            stored=result.stored,
            more=result.more,
            counts={name: result.count(name) for name in treatments},
            letters=list(result.treated),
        )


def _fields(letter: Letter) -> dict[str, Any]:
    it = letter.letter
    return {
        "letter_id": letter.letter_id,
        "time_us": letter.time_us,
        "reason": it.reason,
        "detail": it.detail,
        "provider": it.provider,
        "symbol": it.symbol,
        "received_time_us": it.received_time_us,
        "raw_size_bytes": it.raw_size_bytes,
        "truncated": it.truncated,
        "reinjected_us": letter.mark.time_us if letter.mark else None,
    }
