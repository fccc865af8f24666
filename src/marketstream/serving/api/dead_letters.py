"""Dead letters under `/api/v1/dead-letters`: looked through, and put back after a fix.

Reads: `dead_letter_queue`, `dead_letter_marks`, through a port. Writes: through it, what is put back.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar, cast

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from marketstream.contracts.dead_letters import DeadLetterDesk, LetterFilter, LetterId, LetterPlace
from marketstream.domain.errors import BusError, StoreUnavailableError
from marketstream.domain.outcomes import Reason
from marketstream.serving.api.answers import answered
from marketstream.serving.api.documented import answers
from marketstream.serving.api.letter_schemas import (
    GroupsAnswer,
    LetterAnswer,
    LettersAnswer,
    ReinjectionAnswer,
    ReinjectRequest,
)
from marketstream.serving.api.paging import Cursor, next_link, read_cursor
from marketstream.serving.api.params import TIME_HELP, parse_time
from marketstream.serving.api.problems import Problem, invalid_parameter, problem_responses
from marketstream.serving.api.strict import StrictRoute

T = TypeVar("T")

_AT_ONCE = 2  # each reads much of a topic
_BUSY_SECONDS = 10.0

ReasonQuery = Annotated[Reason | None, Query(description="Refused for this")]
ProviderQuery = Annotated[str | None, Query(max_length=64, description="Of this provider, or set aside by this writer")]
SymbolQuery = Annotated[str | None, Query(max_length=64, description="Of this symbol, in any case")]
SinceQuery = Annotated[str | None, Query(description=f"Put on the topic at or after this. {TIME_HELP}")]
Limit = Annotated[int, Query(ge=1, le=1_000, description="The newest so many")]
Id = Annotated[
    str,
    Path(
        pattern=r"^[0-9]{1,9}:[0-9]{1,18}$",
        description="`partition:offset`, as the list has it",
        examples=["2:1734"],
    ),
]


def dead_letter_router(desk: DeadLetterDesk) -> APIRouter:
    """The endpoints over one desk."""
    router = APIRouter(prefix="/api/v1/dead-letters", tags=["dead letters"], route_class=StrictRoute)
    at_desk = _Turnstile(desk)

    @router.get("", summary="Dead letters", responses=_answers(LettersAnswer, 422, 503))
    def letters(
        request: Request,
        reason: ReasonQuery = None,
        provider: ProviderQuery = None,
        symbol: SymbolQuery = None,
        since: SinceQuery = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Response:
        """What was refused, the newest first, without its bytes. Letters are kept for 7 days. `next` leads to older."""
        wanted = _filter(reason, provider, symbol, since)
        before = cast("LetterPlace | None", read_cursor(request, cursor, int, str))
        found = at_desk.ask(lambda held: held.letters(wanted, limit, before))
        oldest = found.letters[-1] if found.more and found.letters else None
        link = next_link(request, (oldest.time_us, oldest.letter_id) if oldest else None)
        headers = {"Link": f'<{link}>; rel="next"'} if link else None
        return answered(request, LettersAnswer.of(found, link).model_dump(), headers=headers)

    @router.get("/groups", summary="Dead letters by reason and provider", responses=_answers(GroupsAnswer, 422, 503))
    def groups(
        request: Request,
        reason: ReasonQuery = None,
        provider: ProviderQuery = None,
        symbol: SymbolQuery = None,
        since: SinceQuery = None,
    ) -> Response:
        """How many there are, when the first and the last was refused, and an example of each; the largest first."""
        wanted = _filter(reason, provider, symbol, since)
        return answered(request, GroupsAnswer.of(at_desk.ask(lambda held: held.groups(wanted))).model_dump())

    @router.post("/reinject", summary="Put dead letters back", responses=_problems(400, 422, 503))
    def reinject(request: ReinjectRequest) -> ReinjectionAnswer:
        """Reads letters with today's adapters and publishes what passes, each trade exactly once; lateness is waived.

        Name ids, or at least one part of a filter; of a filter's letters the newest 10,000 are taken that have not been
        put back yet. With `dry_run` nothing is published.
        """
        which = [_place("ids", each) for each in request.ids] if request.ids else _wanted(request)
        if request.ids and _wanted(request) != LetterFilter():
            raise invalid_parameter("ids", "name ids or a filter, not both")
        if which == LetterFilter():
            raise invalid_parameter("ids", "name ids, or a filter by reason, provider, symbol or since")
        return ReinjectionAnswer.of(at_desk.ask(lambda held: held.reinject(which, dry_run=request.dry_run)))

    @router.get("/reinject", include_in_schema=False)
    def not_by_get() -> Response:
        """Says what a path beside `/{letter_id}`, which takes it otherwise, says by itself."""
        raise HTTPException(405, headers={"Allow": "POST"})

    @router.get("/{letter_id}", summary="One dead letter", responses=_answers(LetterAnswer, 404, 422, 503))
    def letter(request: Request, letter_id: Id) -> Response:
        """A letter with its bytes: as text where they are UTF-8, else in Base64."""
        place = _place("letter_id", letter_id)
        found = at_desk.ask(lambda held: held.letter(place))
        if found is None:
            raise no_letter(letter_id)
        return answered(request, LetterAnswer.of(found).model_dump())

    return router


class _Turnstile:
    """Lets few at the desk at once, so that they can't take every thread of the server."""

    def __init__(self, desk: DeadLetterDesk) -> None:
        self._desk = desk
        self._free = threading.BoundedSemaphore(_AT_ONCE)

    def ask(self, question: Callable[[DeadLetterDesk], T]) -> T:
        with self._entered():
            try:
                return question(self._desk)
            except BusError as error:
                raise unavailable("Kafka", error) from error
            except StoreUnavailableError as error:
                raise unavailable("The database", error) from error

    @contextmanager
    def _entered(self) -> Iterator[None]:
        if not self._free.acquire(timeout=_BUSY_SECONDS):
            detail = "Others are looking through the dead letters; try again shortly."
            raise Problem(503, "dead-letters-busy", "Dead letters busy", detail)
        try:
            yield
        finally:
            self._free.release()


def no_letter(letter_id: str) -> Problem:
    """A 404 about one letter."""
    detail = f"There is no dead letter {letter_id}, or none any more: they are kept for 7 days."
    return Problem(404, "no-dead-letter", "No such dead letter", detail)


def unavailable(who: str, error: Exception) -> Problem:
    """A 503 that names who is away."""
    return Problem(
        503, "dead-letters-unavailable", "Dead letters unavailable", f"{who} can't answer now: {error}. Try again."
    )


def _wanted(request: ReinjectRequest) -> LetterFilter:
    return _filter(request.reason, request.provider, request.symbol, request.since)


def _filter(reason: Reason | None, provider: str | None, symbol: str | None, since: str | None) -> LetterFilter:
    return LetterFilter(
        reason=reason,
        provider=provider,
        symbol=symbol.upper() if symbol else None,
        since_us=parse_time("since", since),
    )


def _place(name: str, text: str) -> LetterId:
    try:
        return LetterId.parse(text)
    except ValueError as error:
        raise invalid_parameter(name, str(error)) from None


def _answers(model: type[BaseModel], *statuses: int) -> dict[int | str, dict[str, Any]]:
    return {**answers(model), **_problems(*statuses)}


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    texts = {404: "No such letter", 503: "Kafka or the database is away, or busy"}
    described = problem_responses(*statuses)
    for status, text in texts.items():
        if status in described:
            described[status]["description"] = text
    return described
