"""The dead letters over REST, through the whole ASGI application, over a desk in memory."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import httpx
import pytest

from marketstream.contracts.dead_letters import (
    DeadLetterDesk,
    Letter,
    LetterFilter,
    LetterGroup,
    LetterGroups,
    LetterId,
    LetterPlace,
    Letters,
    Reinjection,
    Treated,
)
from marketstream.contracts.messages import DeadLetter, DeadLetterMark
from marketstream.domain.errors import BusError, StoreUnavailableError
from marketstream.domain.outcomes import Reason, Rejected
from marketstream.serving.api.app import Extras, create_app

PATH = "/api/v1/dead-letters"


def letter(place: str, raw: bytes, mark: DeadLetterMark | None = None) -> Letter:
    rejected = Rejected(raw=raw, reason=Reason.LATE, detail="so", provider="fmp", received_time_us=4, symbol="IBM")
    return Letter(letter_id=place, time_us=5, letter=DeadLetter.of(rejected), mark=mark)


@dataclass
class MemoryDesk(DeadLetterDesk):
    """A desk with two letters that remembers what it was asked."""

    asked: list[Any] = field(default_factory=list)
    failure: Exception | None = None
    blocked: threading.Event | None = None

    def letters(self, wanted: LetterFilter, limit: int, before: LetterPlace | None = None) -> Letters:
        self._note(wanted, limit, *([before] if before else []))
        mark = DeadLetterMark(letter_id="1:7", published=1, already_there=0, time_us=9)
        return Letters(letters=[letter("1:7", b"text", mark), letter("0:3", b"\xff")], more=True, scanned=2)

    def groups(self, wanted: LetterFilter) -> LetterGroups:
        self._note(wanted)
        group = LetterGroup(
            reason=Reason.LATE,
            provider="fmp",
            count=2,
            symbols=1,
            first_us=5,
            last_us=6,
            example_id="1:7",
            example_detail="so",
        )
        return LetterGroups(groups=[group], complete=False, scanned=2)

    def letter(self, letter_id: LetterId) -> Letter | None:
        self._note(letter_id)
        return letter("0:3", b"\xff") if letter_id == LetterId(0, 3) else None

    def reinject(self, which: Sequence[LetterId] | LetterFilter, *, dry_run: bool) -> Reinjection:
        self._note(which, dry_run)
        treated = Treated(letter_id="1:7", treatment="published", published=1, already_there=0, detail="")
        return Reinjection(dry_run=dry_run, stored=True, more=False, treated=[treated])

    def _note(self, *asked: Any) -> None:
        if self.blocked is not None:
            self.blocked.wait(30)
        if self.failure is not None:
            raise self.failure
        self.asked.append(asked)


@pytest.fixture
def desk() -> MemoryDesk:
    return MemoryDesk()


@pytest.fixture
async def client(world: Any, desk: MemoryDesk) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(world.market_data, extras=Extras(dead_letters=desk))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as open_client:
        yield open_client


async def test_letters_are_listed_without_their_bytes(client: httpx.AsyncClient, desk: MemoryDesk) -> None:
    query = {"reason": "late", "provider": "fmp", "symbol": "ibm", "since": "5", "limit": "7"}
    body = (await client.get(PATH, params=query)).json()
    wanted = LetterFilter(reason=Reason.LATE, provider="fmp", symbol="IBM", since_us=5_000_000)
    assert desk.asked == [(wanted, 7)]
    assert (body["count"], body["more"], body["scanned"]) == (2, True, 2)
    assert [(each["letter_id"], each["reinjected_us"]) for each in body["letters"]] == [("1:7", 9), ("0:3", None)]
    assert "raw" not in body["letters"][0]


async def test_one_letter_comes_with_its_bytes(client: httpx.AsyncClient) -> None:
    body = (await client.get(f"{PATH}/0:3")).json()
    assert (body["raw"], body["raw_encoding"], body["letter_id"]) == ("/w==", "base64", "0:3")
    missing = await client.get(f"{PATH}/9:9")
    assert (missing.status_code, missing.json()["type"]) == (404, "/problems/no-dead-letter")


async def test_groups_are_counted(client: httpx.AsyncClient, desk: MemoryDesk) -> None:
    body = (await client.get(f"{PATH}/groups")).json()
    assert desk.asked == [(LetterFilter(),)]
    assert (body["count"], body["complete"], body["groups"][0]["example_id"]) == (1, False, "1:7")


@pytest.mark.parametrize(
    ("request_body", "which"),
    [
        ({"ids": ["1:7", "0:3"]}, [LetterId(1, 7), LetterId(0, 3)]),
        ({"reason": "late"}, LetterFilter(reason=Reason.LATE)),
        ({"symbol": "ibm", "since": "1970-01-01T00:00:05Z"}, LetterFilter(symbol="IBM", since_us=5_000_000)),
    ],
)
async def test_letters_are_put_back(
    client: httpx.AsyncClient, desk: MemoryDesk, request_body: dict[str, Any], which: Any
) -> None:
    for dry_run in (False, True):
        answer = await client.post(f"{PATH}/reinject", json=request_body | {"dry_run": dry_run})
        assert answer.json()["counts"] == {"published": 1, "already_there": 0, "refused": 0}
        assert (answer.status_code, answer.json()["dry_run"]) == (200, dry_run)
    assert desk.asked == [(which, False), (which, True)]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"dry_run": True},
        {"ids": []},
        {"ids": ["1:7"], "reason": "late"},
        {"ids": ["nonsense"]},
        {"ids": ["1:1"] * 1_001},
        {"reason": "boredom"},
        {"since": "yesterday"},
        {"id": ["1:7"]},
    ],
)
async def test_what_says_too_little_or_too_much_is_refused(
    client: httpx.AsyncClient, desk: MemoryDesk, wrong: dict[str, Any]
) -> None:
    answer = await client.post(f"{PATH}/reinject", json=wrong)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-parameter")
    assert not desk.asked


async def test_a_body_that_is_no_text_is_refused(client: httpx.AsyncClient, desk: MemoryDesk) -> None:
    kind = {"content-type": "application/json"}
    answer = await client.post(f"{PATH}/reinject", content=b"\xff\xfe\x00", headers=kind)
    assert (answer.status_code, answer.json()["detail"]) == (400, "The body is no JSON in UTF-8.")
    assert not desk.asked


async def test_a_form_of_another_site_changes_nothing(client: httpx.AsyncClient, desk: MemoryDesk) -> None:
    """A page elsewhere may send such a request without being allowed to."""
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        answer = await client.post(f"{PATH}/reinject", content=b'{"reason":"late"}', headers={"content-type": kind})
        assert answer.status_code == 422
    assert not desk.asked


@pytest.mark.parametrize("query", ["reason=boredom", "since=yesterday", "limit=0", "limit=1001"])
async def test_wrong_parameters_are_refused(client: httpx.AsyncClient, query: str) -> None:
    assert (await client.get(f"{PATH}?{query}")).status_code == 422
    assert (await client.get(f"{PATH}/nonsense")).status_code == 422


@pytest.mark.parametrize("failure", [BusError("no broker"), StoreUnavailableError("no database")])
async def test_who_is_away_is_said(client: httpx.AsyncClient, desk: MemoryDesk, failure: Exception) -> None:
    desk.failure = failure
    answers = [await client.get(PATH), await client.post(f"{PATH}/reinject", json={"reason": "late"})]
    for answer in answers:
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/dead-letters-unavailable")
        assert str(failure) in answer.json()["detail"]


async def test_many_at_once_leave_threads_for_others(
    client: httpx.AsyncClient, desk: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marketstream.serving.api.dead_letters._BUSY_SECONDS", 0.05)
    desk.blocked = threading.Event()
    asking = [asyncio.create_task(client.get(PATH)) for _ in range(6)]
    # Two have the desk, which they wait for.
    refused = [await answer for answer in islice(asyncio.as_completed(asking, timeout=30), 4)]
    assert {answer.json()["type"] for answer in refused} == {"/problems/dead-letters-busy"}
    assert (await client.get("/health/live")).status_code == 200
    desk.blocked.set()
    assert sorted([(await task).status_code for task in asking]) == [200, 200, 503, 503, 503, 503]


async def test_the_page_shows_how_to_ask(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text
    assert "<b>POST</b>/api/v1/dead-letters/reinject" in page
    assert "&quot;dry_run&quot;:true" in page
    assert "<b>GET</b>/api/v1/dead-letters/groups" in page
