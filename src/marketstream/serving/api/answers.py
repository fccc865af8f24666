"""Answers as they go out: in the wanted format, tagged, cacheable where they will not change, compressed.

Bodies are made by orjson from the value types themselves; nothing validates a second time what a reader has checked.
Tests hold the documented models against these bodies.
"""

import gzip
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import orjson
from fastapi import Query, Request, Response

from marketstream.serving.api.paging import Place, next_link
from marketstream.serving.api.problems import Problem
from marketstream.serving.market_data import Answer

if TYPE_CHECKING:
    from marketstream.serving.api.tables import Shape

JSON = "application/json"
Format = Literal["json", "csv", "parquet", "arrow"]
MEDIA_TYPES: Mapping[Format, str] = {
    "json": JSON,
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}
F = TypeVar("F", bound=Format)
FORMS: Sequence[Format] = tuple(MEDIA_TYPES)
FormatQuery = Annotated[
    Format | None, Query(description="Form of the answer; without it the `Accept` header counts, then `json`")
]
LIVE = "private, no-cache"  # may be kept, and has to be asked about each time
CLOSED = "private, max-age=300"  # late corrections are seen after five minutes
CLOSED_AFTER_US = 600_000_000

_COMPRESSED_FROM_BYTES = 1_024
_GZIP_LEVEL = 4  # costs a third of level 9's time for nearly its size
_COMPRESSIBLE = ("json", "csv")
_TAG = re.compile(r'"([0-9a-f]+)(?:-gzip)?"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A list of market data, whatever its form.

    Attributes:
        answer: Where the rows came from.
        head: What the rows have in common, such as their symbol.
        name: What the rows are; their field, and the file's name.
        rows: The rows, oldest first.
        place: Where the next page begins; None after the last.
        closed: Nothing more is to be expected of the range.
        tail: Further fields of the JSON form.
    """

    answer: Answer[Any]
    head: Mapping[str, str]
    name: str
    rows: Sequence[Any]
    place: Place | None
    closed: bool
    tail: Mapping[str, Any] = field(default_factory=dict)


def chosen_format(request: Request, wanted: F | None, forms: Sequence[F]) -> F:
    """The format by parameter, else by the `Accept` header, else the first of these.

    Raises:
        Problem: The header names none of them.
    """
    if wanted is not None:
        return wanted
    accepted = request.headers.get("accept", "")
    if not accepted:
        return forms[0]
    ranked = sorted((_quality(part) for part in accepted.split(",")), key=lambda entry: -entry[0])
    for quality, media_type in ranked:
        found = _format_of(media_type, forms) if quality > 0 else None
        if found is not None:
            return found
    raise not_acceptable(accepted, forms)


def not_acceptable(accepted: str, forms: Sequence[Format]) -> Problem:
    """A 406 that lists the forms there are."""
    there = ", ".join(MEDIA_TYPES[form] for form in forms)
    detail = f"Nothing here comes as {accepted[:200]!r}; Accept may name {there}."
    return Problem(406, "not-acceptable", "Not acceptable", detail)


def list_answer(request: Request, listing: Listing, wanted: Format, shape: "Shape | None" = None) -> Response:
    """The answer in the wanted format; a table where a shape tells its columns."""
    link = next_link(request, listing.place)
    headers = {"Link": f'<{link}>; rel="next"'} if link else {}
    cache = CLOSED if listing.closed and not listing.answer.degraded else LIVE
    if wanted == "json" or shape is None:
        body = {**origin(listing.answer), **listing.head, "count": len(listing.rows), "next": link}
        return answered(request, {**body, listing.name: listing.rows, **listing.tail}, cache, headers)
    from marketstream.serving.api.tables import whole  # Arrow takes memory, and most answers are JSON

    headers |= {"X-Data-Source": listing.answer.source, "X-Data-Stale": _word(listing.answer.stale)}
    headers |= {"X-Data-Degraded": _word(listing.answer.degraded), **file_headers(listing.name, listing.head, wanted)}
    return sent(request, whole(wanted, shape, listing.rows), wanted, cache, headers)


def answered(
    request: Request, body: Mapping[str, Any], cache: str = LIVE, headers: Mapping[str, str] | None = None
) -> Response:
    """A body as JSON."""
    return sent(request, orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS), "json", cache, headers or {})


def sent(request: Request, content: bytes, form: Format, cache: str, headers: Mapping[str, str]) -> Response:
    """Content with its tag: 304 where the client has it, compressed where it takes that."""
    digest = hashlib.blake2b(content, digest_size=12).hexdigest()
    packed = (
        len(content) >= _COMPRESSED_FROM_BYTES
        and form in _COMPRESSIBLE
        and "gzip" in request.headers.get("accept-encoding", "")
    )
    known = {
        **headers,
        "Cache-Control": cache,
        "ETag": f'"{digest}-gzip"' if packed else f'"{digest}"',  # a strong tag stands for the very bytes
        "Vary": "Accept, Accept-Encoding",
    }
    if has(request, digest):
        return Response(status_code=304, headers=known)
    if packed:
        content = gzip.compress(content, _GZIP_LEVEL, mtime=0)
        known["Content-Encoding"] = "gzip"
    return Response(content, headers=known, media_type=MEDIA_TYPES[form])


def has(request: Request, digest: str) -> bool:
    """Whether the client says that it has the content of this digest."""
    said = request.headers.get("if-none-match")
    return said is not None and (said.strip() == "*" or digest in _TAG.findall(said))


def origin(answer: Answer[Any]) -> dict[str, Any]:
    """Where an answer came from and how fresh it is."""
    return {
        "source": answer.source,
        "stale": answer.stale,
        "degraded": answer.degraded,
        "received_us": answer.received_us,
    }


def file_headers(name: str, head: Mapping[str, str], form: Format) -> dict[str, str]:
    """How a browser names the file."""
    parts = "-".join((name, *head.values()))
    return {"Content-Disposition": f'attachment; filename="{re.sub(r"[^A-Za-z0-9._-]", "-", parts)}.{form}"'}


def is_closed(end_us: int | None, now_us: int) -> bool:
    """Whether a range ended so long ago that no ordinary trade can still come into it."""
    return end_us is not None and end_us <= now_us - CLOSED_AFTER_US


def _quality(part: str) -> tuple[float, str]:
    media_type, *parameters = (each.strip().lower() for each in part.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return min(max(float(parameter[2:]), 0.0), 1.0), media_type
            except ValueError:
                return 0.0, media_type
    return 1.0, media_type


def _format_of(media_type: str, forms: Sequence[F]) -> F | None:
    for form in forms:
        whole = MEDIA_TYPES[form]
        if media_type in ("*/*", whole, f"{whole.partition('/')[0]}/*"):
            return form
    return None


def _word(truth: bool) -> str:
    return "true" if truth else "false"
