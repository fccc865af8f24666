"""Answers in other forms, tagged, cached, compressed and for other origins; and whole datasets as files."""

import asyncio
import csv
import io
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import Any

import httpx
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from marketstream.domain.errors import StoreUnavailableError
from marketstream.domain.interval import Interval
from marketstream.serving.api.app import Extras, create_app
from marketstream.serving.api.tables import TICKS, pieces, whole
from marketstream.serving.exports import Exports, Wanted
from marketstream.testing.platform import eventually
from stores import make_cancel, make_tick

FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "|cmd",
    "%x",
    "\uff1d1",
    "\uff0b1",
    "\uff0d1",
    "\uff201",
]


@pytest.fixture
async def client(world: Any) -> AsyncIterator[httpx.AsyncClient]:
    extras = Extras(
        exports=Exports(world.history, page_rows=100),
        indicator_names=("sma_20",),
        cors_origins=("https://charts.example",),
    )
    transport = httpx.ASGITransport(create_app(world.market_data, world.feed_data, extras), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as opened:
        yield opened


def read(form: str, content: bytes) -> pl.DataFrame:
    if form == "csv":
        return pl.read_csv(content, infer_schema_length=None, schema_overrides={"trade_id": pl.String})
    table = pa.ipc.open_stream(content).read_all() if form == "arrow" else pq.read_table(io.BytesIO(content))
    return pl.DataFrame(pl.from_arrow(table))


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow"])
@pytest.mark.parametrize("path", ["ticks", "aggregated", "indicators"])
async def test_every_form_holds_what_json_holds(client: httpx.AsyncClient, form: str, path: str) -> None:
    address = f"/api/v1/{path}/BTCUSDT?limit=50"
    said = (await client.get(address)).json()
    answer = await client.get(f"{address}&format={form}")
    rows = said["bars" if path == "aggregated" else path]
    frame = read(form, answer.content)
    assert frame.height == 50
    for name in ("event_time_us", "price", "size", "trade_id") if path == "ticks" else ("start_us", "close", "final"):
        assert frame[name].to_list() == [row[name] for row in rows], name
    if path == "indicators":
        assert frame["sma_20"].to_list() == [row["values"]["sma_20"] for row in rows]
        assert "volatility" in frame["other_values"][0]
    assert answer.headers["link"] == f'<{said["next"].replace("?limit=50", f"?limit=50&format={form}")}>; rel="next"'
    assert answer.headers["x-data-source"] == said["source"]
    assert answer.headers["content-disposition"].endswith(f'.{form}"')


async def test_the_accept_header_chooses_where_no_parameter_does(client: httpx.AsyncClient) -> None:
    async def type_of(accept: str, query: str = "") -> str:
        answer = await client.get(f"/api/v1/ticks/BTCUSDT?limit=2{query}", headers={"Accept": accept})
        return answer.headers["content-type"].partition(";")[0]

    assert await type_of("text/csv") == "text/csv"
    assert await type_of("text/*;q=0.5, application/vnd.apache.parquet;q=0.9") == "application/vnd.apache.parquet"
    assert await type_of("text/html, */*;q=0.1") == "application/json"
    assert await type_of("text/csv", "&format=arrow") == "application/vnd.apache.arrow.stream"
    assert await type_of("text/csv;q=0, image/png") == "application/problem+json"
    assert await type_of("text/csv;q=x") == "application/problem+json"


@pytest.mark.parametrize("text", FORMULAS)
def test_csv_has_no_formulas_and_other_forms_have_what_there_is(text: str) -> None:
    tick = make_tick(1, trade_id=text, exchange=text, conditions=(text, "plain"))
    (row,) = csv.DictReader(io.StringIO(whole("csv", TICKS, [(tick, False)]).decode(), newline=""))
    assert row["trade_id"] == row["exchange"] == f"'{text}"
    assert row["conditions"] == f"'{text};plain"
    kept = read("parquet", whole("parquet", TICKS, [(tick, None)])).row(0, named=True)
    assert (kept["trade_id"], kept["exchange"], kept["conditions"], kept["cancelled"]) == (
        text,
        text,
        [text, "plain"],
        None,
    )


def test_csv_gives_numbers_back_exactly_and_quotes_what_needs_it() -> None:
    tick = make_tick(1, price=0.1 + 0.2, size=1e-7, exchange='a"b,c', trade_id="007")
    (row,) = csv.DictReader(io.StringIO(whole("csv", TICKS, [(tick, True)]).decode(), newline=""))
    assert (float(row["price"]), float(row["size"])) == (tick.price, tick.size)
    assert (row["exchange"], row["trade_id"], row["cancelled"]) == ('a"b,c', "007", "true")


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow"])
async def test_an_export_is_everything_in_order(client: httpx.AsyncClient, world: Any, form: str) -> None:
    world.history.add(make_cancel(world.ticks[7]), *(make_tick(n, symbol="AAA", trade_id=f"{n}") for n in range(1, 4)))
    answer = await client.get(f"/api/v1/export/ticks?format={form}")
    frame = read(form, answer.content)
    assert frame["symbol"].to_list() == ["AAA"] * 3 + ["BTCUSDT"] * len(world.ticks)
    assert frame["trade_id"].to_list()[3:] == [tick.trade_id for tick in world.ticks]
    assert frame["cancelled"].to_list()[3:] == [tick == world.ticks[7] for tick in world.ticks]
    bars = read(form, (await client.get(f"/api/v1/export/aggregated?symbol=btcusdt&format={form}")).content)
    assert bars["start_us"].to_list() == [bar.start_us for bar in world.bars]
    end = world.bars[50].start_us
    part = await client.get(f"/api/v1/export/indicators?symbol=BTCUSDT&end={end}&format={form}")
    assert read(form, part.content)["start_us"].to_list() == [bar.start_us for bar in world.bars[:50]]
    assert part.headers["content-disposition"] == f'attachment; filename="indicators-BTCUSDT.{form}"'


async def test_an_export_that_cannot_begin_is_a_problem(client: httpx.AsyncClient, world: Any) -> None:
    assert (await client.get("/api/v1/export/ticks?symbol=BTCUSD")).json()["suggestions"] == ["BTCUSDT"]
    assert (await client.get("/api/v1/export/quotes")).status_code == 422
    assert (await client.get("/api/v1/export/ticks", headers={"Accept": "application/json"})).status_code == 406
    world.history.available = False
    for _ in range(5):  # none of them keeps its place
        assert (await client.get("/api/v1/export/ticks")).json()["type"] == "/problems/stores-unavailable"


class Breaking(Exports):
    """Exports that break off after the first page."""

    def pages(self, wanted: Any) -> Iterator[Sequence[Any]]:
        yield next(super().pages(wanted))
        raise StoreUnavailableError("gone")


async def test_an_export_that_breaks_off_is_seen_to_and_frees_its_place(world: Any) -> None:
    app = create_app(world.market_data, extras=Extras(exports=Breaking(world.history)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as opened:
        for _ in range(5):
            with pytest.raises(RuntimeError, match="response already started"):  # so the server breaks off
                await opened.get("/api/v1/export/ticks")


async def test_a_tag_saves_the_answer_until_something_changes(client: httpx.AsyncClient, world: Any) -> None:
    for path in ("latest/BTCUSDT", "ticks/BTCUSDT", "aggregated/BTCUSDT?format=csv", "symbols", "feeds/gaps"):
        first = await client.get(f"/api/v1/{path}")
        tag = first.headers["etag"]
        again = await client.get(f"/api/v1/{path}", headers={"If-None-Match": f'"other", W/{tag}'})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag), path
    tag = (await client.get("/api/v1/latest/BTCUSDT")).headers["etag"]
    newer = replace(world.ticks[-1], event_time_us=world.ticks[-1].event_time_us + 1, trade_id="newer")
    world.cache.add(newer)
    assert (await client.get("/api/v1/latest/BTCUSDT", headers={"If-None-Match": tag})).status_code == 200


async def test_a_compressed_answer_has_a_tag_of_its_own(client: httpx.AsyncClient) -> None:
    address = "/api/v1/ticks/BTCUSDT?limit=100"
    plain = await client.get(address, headers={"Accept-Encoding": "identity"})
    packed = await client.get(address, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content
    assert packed.headers["etag"] == plain.headers["etag"][:-1] + '-gzip"'
    assert "Accept-Encoding" in packed.headers["vary"]
    parquet = await client.get(f"{address}&format=parquet", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in parquet.headers


async def test_what_is_over_may_be_kept_and_what_goes_on_is_asked_about(client: httpx.AsyncClient, world: Any) -> None:
    past, now = world.bars[60].start_us, world.clock.time_us
    for path in ("ticks", "aggregated", "indicators"):
        closed = await client.get(f"/api/v1/{path}/BTCUSDT?end={past}")
        assert closed.headers["cache-control"] == "private, max-age=300", path
        for open_end in (f"?end={now}", "", f"?start={past}"):
            live = await client.get(f"/api/v1/{path}/BTCUSDT{open_end}")
            assert live.headers["cache-control"] == "private, no-cache", (path, open_end)
    world.cache.available = False
    assert (await client.get(f"/api/v1/aggregated/BTCUSDT?end={past}")).headers["cache-control"] == "private, no-cache"
    assert (await client.get("/api/v1/latest/ZZZ")).headers["cache-control"] == "no-store"
    assert (await client.get("/health/live")).headers["cache-control"] == "no-store"


async def test_other_origins_may_read_only_where_they_are_named(client: httpx.AsyncClient, world: Any) -> None:
    named = await client.get("/api/v1/symbols", headers={"Origin": "https://charts.example"})
    assert named.headers["access-control-allow-origin"] == "https://charts.example"
    assert "ETag" in named.headers["access-control-expose-headers"]
    other = await client.get("/api/v1/symbols", headers={"Origin": "https://other.example"})
    assert "access-control-allow-origin" not in other.headers
    asked = {"Origin": "https://charts.example", "Access-Control-Request-Method": "GET"}
    assert (await client.options("/api/v1/symbols", headers=asked)).status_code == 200
    transport = httpx.ASGITransport(create_app(world.market_data))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as closed:
        usual = await closed.get("/api/v1/symbols", headers={"Origin": "https://charts.example"})
    assert "access-control-allow-origin" not in usual.headers


class Counting(Exports):
    """Exports that tell how many pages they read, and wait before the second of them."""

    def __init__(self, reader: Any, wait: threading.Event | None = None) -> None:
        super().__init__(reader, page_rows=10)
        self.read = 0
        self.wait = wait

    def pages(self, wanted: Any) -> Iterator[Sequence[Any]]:
        for page in super().pages(wanted):
            self.read += 1
            yield page
            if self.wait is not None:
                self.wait.wait(30)


def everything(world: Any) -> Wanted:
    interval = Interval.parse("1min")
    return Wanted(dataset="ticks", symbols=["BTCUSDT"], interval=interval, between=(None, None))


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow"])
def test_an_export_reads_no_further_than_it_is_taken(world: Any, form: str) -> None:
    exports = Counting(world.history)
    parts = pieces(form, TICKS, exports.pages(everything(world)))  # type: ignore[arg-type]  # one of three words
    for _ in range(5):
        next(parts)
    assert exports.read <= 5
    assert sum(1 for _ in parts) > 100


async def test_a_third_export_is_told_to_come_back(world: Any) -> None:
    go_on = threading.Event()
    exports = Counting(world.history, go_on)
    app = create_app(world.market_data, extras=Extras(exports=exports))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as opened:
        running = [asyncio.create_task(opened.get("/api/v1/export/ticks?symbol=BTCUSDT")) for _ in range(2)]
        await asyncio.to_thread(eventually, lambda: exports.read >= 2, within_seconds=20, what="two exports run")
        third = await opened.get("/api/v1/export/ticks")
        assert (third.status_code, third.json()["type"]) == (503, "/problems/exports-busy")
        assert int(third.headers["retry-after"]) >= 1
        go_on.set()
        assert [answer.status_code for answer in await asyncio.gather(*running)] == [200, 200]
        assert (await opened.get("/api/v1/export/ticks")).status_code == 200
