"""Cursors: where the next page of a list begins, as an opaque word that belongs to one query.

A cursor holds the place of the last row that was given, so pages neither repeat nor skip a row while data arrives. It
is checked, not secret: a digest ties it to the path and the filters of its query. It lets nobody see what the query
would not show him anyway.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Annotated
from urllib.parse import quote, urlencode

import orjson
from fastapi import Query, Request

from marketstream.serving.api.problems import Problem, invalid_parameter

Place = tuple[int | str, ...]
Cursor = Annotated[
    str | None,
    Query(
        max_length=512, description="Where the page begins: as an answer's `next` link has it, with the same filters"
    ),
]

_DIGEST_BYTES = 8
_LARGEST = 2**62  # µs, beyond the year 100,000
_NO_FILTERS = ("cursor", "limit", "format")  # these may change from page to page


def read_cursor(request: Request, text: str | None, *shape: type) -> Place | None:
    """The place that a cursor holds; None without one.

    Args:
        request: The query it came with.
        text: The cursor.
        shape: Types of the place's parts.

    Raises:
        Problem: It is none, or another query's.
    """
    return None if text is None else unpack_cursor(text, _said(request), shape)


def unpack_cursor(text: str, said: bytes, shape: Sequence[type]) -> Place:
    """The place that a cursor holds.

    Args:
        text: The cursor.
        said: What its query was.
        shape: Types of the place's parts.

    Raises:
        Problem: It is none, or another query's.
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        digest, packed = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
        place = orjson.loads(packed)
    except (binascii.Error, ValueError):
        raise _refused() from None
    if digest != _digest(packed, said) or not _fits(place, shape):
        raise _refused()
    return tuple(place)


def pack_cursor(place: Place, said: bytes) -> str:
    """A cursor that holds a place, for the query that was `said`."""
    packed = orjson.dumps(place)
    return base64.urlsafe_b64encode(_digest(packed, said) + packed).decode().rstrip("=")


def next_link(request: Request, place: Place | None) -> str | None:
    """The address of the page that begins at this place, relative to the server; None without one."""
    if place is None:
        return None
    cursor = pack_cursor(place, _said(request))
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    return f"{quote(request.scope['path'])}?{urlencode([*kept, ('cursor', cursor)])}"


def _said(request: Request) -> bytes:
    filters = sorted(pair for pair in request.query_params.multi_items() if pair[0] not in _NO_FILTERS)
    return orjson.dumps([request.scope["path"], filters])


def _digest(packed: bytes, said: bytes) -> bytes:
    return hashlib.blake2b(packed + said, digest_size=_DIGEST_BYTES, person=b"cursor").digest()


def _fits(place: object, shape: Sequence[type]) -> bool:
    if not isinstance(place, list) or len(place) != len(shape):
        return False
    return all(
        type(part) is kind and (not isinstance(part, int) or -_LARGEST < part < _LARGEST)
        for part, kind in zip(place, shape, strict=True)
    )


def _refused() -> Problem:
    return invalid_parameter("cursor", "is none of this query's; take the `next` link of an answer as it is")
