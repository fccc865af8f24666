"""Whole datasets as files under `/api/v1/export`, streamed as they are read."""

import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from marketstream.serving.api.answers import MEDIA_TYPES, chosen_format, file_headers
from marketstream.serving.api.documented import files
from marketstream.serving.api.listings import Listings
from marketstream.serving.api.params import Symbols, parse_range, parse_symbols, parse_window
from marketstream.serving.api.problems import Problem
from marketstream.serving.api.routes import End, Start, Window
from marketstream.serving.api.strict import StrictRoute
from marketstream.serving.exports import DatasetName, Exports, Wanted
from marketstream.serving.market_data import MarketData

FileFormat = Literal["csv", "parquet", "arrow"]
FILE_FORMS: Sequence[FileFormat] = ("csv", "parquet", "arrow")
AT_ONCE = 2  # each takes a page's memory, and a good part of a core

Dataset = Annotated[DatasetName, Path(description="Rows of which kind", openapi_examples={"one": {"value": "ticks"}})]
FileFormatQuery = Annotated[
    FileFormat | None, Query(description="Form of the file; without it the `Accept` header counts, then `csv`")
]


def export_router(exports: Exports, market_data: MarketData, listings: Listings) -> APIRouter:
    """The endpoint over one `Exports`; `market_data` knows symbols and windows, `listings` the columns."""
    router = APIRouter(prefix="/api/v1/export", tags=["export"], route_class=StrictRoute)
    free = threading.BoundedSemaphore(AT_ONCE)

    @router.get(
        "/{dataset}",
        summary="A dataset as a file",
        response_class=Response,  # has no media type, where the usual one would be described as JSON
        responses=files(404, 406, 422, 503),
    )
    def export(
        request: Request,
        dataset: Dataset,
        symbol: Symbols = None,
        window: Window = "1min",
        start: Start = None,
        end: End = None,
        format: FileFormatQuery = None,  # noqa: A002  # the parameter's public name
    ) -> Response:
        """Every row in `[start, end)`, by symbol, then oldest first, whatever their number; `window` is of bars.

        It streams; HTTP, Arrow and Parquet show where one broke off. Two run at once. In CSV, texts that a spreadsheet
        could take for a formula begin with an apostrophe.
        """
        form = chosen_format(request, format, FILE_FORMS)
        wanted = Wanted(
            dataset=dataset,
            symbols=parse_symbols(symbol, market_data.symbols()),
            interval=parse_window(window, market_data.intervals()),
            between=parse_range(start, end),
        )
        if not free.acquire(blocking=False):
            raise Problem(503, "exports-busy", "Exports busy", f"{AT_ONCE} exports run already; try again shortly.")
        try:
            content = _content(form, listings, exports.pages(wanted), dataset)
        except BaseException:
            free.release()
            raise
        named = {"symbol": symbol.upper()[:64]} if symbol else {}
        headers = {"Cache-Control": "no-store", **file_headers(dataset, named, form)}
        return _Download(content, free.release, headers=headers, media_type=MEDIA_TYPES[form])

    return router


def _content(
    form: FileFormat, listings: Listings, pages: Iterator[Sequence[object]], dataset: DatasetName
) -> Iterator[bytes]:
    """The file's pieces. The first page is read at once, so that what fails then is a problem and no broken file."""
    from marketstream.serving.api.tables import pieces  # Arrow takes memory, and most answers are JSON

    first = [page for page in (next(pages, None),) if page is not None]
    rows = "bars" if dataset == "aggregated" else dataset
    return pieces(form, listings.shape(rows), chain(first, pages))


class _Download(StreamingResponse):
    """A stream that tells when it is over, however it ended."""

    def __init__(
        self, content: Iterator[bytes], over: Callable[[], None], headers: dict[str, str], media_type: str
    ) -> None:
        super().__init__(content, headers=headers, media_type=media_type)
        self._over = over

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._over()
