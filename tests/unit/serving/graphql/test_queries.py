"""What can be asked, over a market in memory, and that it is what REST says."""

from dataclasses import fields
from typing import Any

import pytest

from graphql_asking import BAR, INDICATORS, ORIGIN, QUOTE, TICK, Asking, camel, renamed
from marketstream.contracts import messages
from marketstream.domain.indicators import Indicators
from marketstream.domain.market import Bar, Quote, Tick
from marketstream.serving.api import feed_schemas
from marketstream.serving.graphql import feed_types, market_types
from marketstream.serving.graphql.schema import build_schema
from marketstream.settings import GraphqlSettings
from stores import make_bar, make_cancel, make_event, make_indicators, make_quote

MINUTE_US = 60_000_000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Tick", Tick),
        ("Quote", Quote),
        ("Bar", Bar),
        ("Indicators", Indicators),
        ("FeedGap", messages.FeedGap),
        ("FeedEvent", messages.FeedEvent),
    ],
)
def test_no_field_of_a_value_type_is_missing(name: str, value: Any) -> None:
    described = build_schema(GraphqlSettings())._schema.get_type(name)
    assert described is not None
    assert {camel(field.name) for field in fields(value)} == set(described.fields) - {"filled"} | (  # type: ignore[attr-defined]
        {"filled"} if name == "FeedGap" else set()
    )


def test_no_field_of_an_answer_about_feeds_is_missing() -> None:
    for ours, rests in (
        (feed_types.Feed, feed_schemas.FeedBody),
        (feed_types.Minute, feed_schemas.MinuteBody),
        (feed_types.LastEvent, feed_schemas.LastEvent),
        (market_types.TradeKey, {"provider": 0, "trade_id": 0}),
    ):
        names = rests if isinstance(rests, dict) else rests.model_fields
        assert {field.name for field in fields(ours)} == set(names)


async def test_the_latest_is_what_rest_says(asking: Asking, world: Any) -> None:
    world.cache.add(make_quote(world.ticks[-1].event_time_us, symbol="BTCUSDT"))
    said = await asking.data(
        f'{{ symbol(name: "btcusdt") {{ name latest {{ {ORIGIN} tick {{ {TICK} }} }} '
        f"quote {{ {ORIGIN} quote {{ {QUOTE} }} }} }} }}"
    )
    latest, quote = await asking.rest("latest/BTCUSDT"), await asking.rest("quotes/BTCUSDT")
    for rest in (latest, quote):
        assert rest.pop("symbol") == "BTCUSDT"
    assert said["symbol"] == {"name": "BTCUSDT", "latest": renamed(latest), "quote": renamed(quote)}


async def test_ticks_are_what_rest_says(asking: Asking, world: Any) -> None:
    world.history.add(make_cancel(world.ticks[-3]), make_cancel(world.ticks[-40]))
    between = {"start": str(world.ticks[20].event_time_us), "end": str(world.ticks[90].event_time_us)}
    for asked in ({"limit": 10}, {"limit": 500}, {**between, "limit": 1_000}, {**between, "limit": 7}):
        query = f"""query ($start: String, $end: String, $limit: Int!) {{ symbol(name: "BTCUSDT") {{
          ticks(start: $start, end: $end, limit: $limit) {{
            {ORIGIN} nodes {{ {TICK} }} cancelled {{ provider tradeId }} pageInfo {{ hasPreviousPage }} }} }} }}"""
        said = (await asking.data(query, **asked))["symbol"]["ticks"]
        rest = await asking.rest("ticks/BTCUSDT", **asked)
        assert said["pageInfo"]["hasPreviousPage"] == (rest["next"] is not None)
        assert said["nodes"] == renamed(rest["ticks"])
        assert said["cancelled"] == renamed(rest["cancelled"])
        assert {
            camel(name): rest[name] for name in ("source", "stale", "degraded", "received_us")
        }.items() <= said.items()


@pytest.mark.parametrize("fill", ["none", "previous"])
async def test_bars_and_indicators_are_what_rest_says(asking: Asking, world: Any, fill: str) -> None:
    # A hole of three minutes among the stored bars, which `fill` closes.
    last = world.bars[-1]
    for ahead in (4, 5):
        world.history.add(make_bar(last.start_us + ahead * MINUTE_US, 3, symbol="BTCUSDT"))
    start = str(world.bars[10].start_us)
    for asked in ({"limit": 5}, {"limit": 500, "start": start}, {"limit": 1}, {"limit": 3, "window": "5min"}):
        filled = "filled" if fill == "previous" else ""
        query = f"""query ($window: String! = "1min", $start: String, $limit: Int!, $fill: Fill!) {{
          symbols(names: ["BTCUSDT", "IBM"]) {{ name
            bars(window: $window, start: $start, limit: $limit, fill: $fill) {{
              {ORIGIN} window nodes {{ {BAR} {filled} }} pageInfo {{ hasPreviousPage }} }}
            indicators(window: $window, start: $start, limit: $limit) {{
              {ORIGIN} window nodes {{ {INDICATORS} }} }} }} }}"""
        said = (await asking.data(query, fill=fill.upper(), **asked))["symbols"]
        for one in said:
            rest = await asking.rest(f"aggregated/{one['name']}", fill=fill, **asked)
            assert one["bars"].pop("pageInfo")["hasPreviousPage"] == (rest.pop("next") is not None)
            assert (rest.pop("symbol"), rest.pop("count")) == (one["name"], len(one["bars"]["nodes"]))
            one["bars"]["bars"] = one["bars"].pop("nodes")
            assert one["bars"] == renamed(rest)
            told = await asking.rest(f"indicators/{one['name']}", **asked)
            one["indicators"]["indicators"] = one["indicators"].pop("nodes")
            assert one["indicators"] == {
                **renamed({name: told[name] for name in told if name not in ("count", "next", "symbol")})
            }


async def test_feeds_and_figures_are_what_rest_says(asking: Asking) -> None:
    said = await asking.data("""{
      windows
      feeds { provider role fault attempt lagMs lastEvent { kind detail timeUs } timeUs ageSeconds openGaps
        gaps { open closed unfillable } }
      completeness(names: ["BTCUSDT"]) { startUs endUs
        minutes { symbol minuteUs score ticks missing uncoveredSeconds reason gapIds } }
      platform {
        system { missing processes disk machine { cores cpuPercent load1min memoryBytes memoryAvailableBytes }
          services { name kind state health restarts uptimeSeconds memoryMb lagMessages } }
        kafka { missing groups { group lagMessages } queries { query topic lagMessages } lastTickAgeSeconds }
        latency { missing stages { stage labels count meanMs p50Ms p95Ms p99Ms } behind { what labels seconds } }
        cache { missing hits misses away hitRatio }
        completeness { startUs endUs score symbols { symbol score minutes ticks missing uncoveredSeconds } }
      } }""")
    assert said["windows"] == (await asking.rest("symbols"))["windows"]
    assert said["feeds"] == renamed((await asking.rest("feeds"))["feeds"])
    rest = renamed(await asking.rest("feeds/completeness", symbol="BTCUSDT"))
    assert said["completeness"] == {name: rest[name] for name in ("startUs", "endUs", "minutes")}
    for name, figures in said["platform"].items():
        rests = renamed(await asking.rest(f"metrics/{name}"))
        if name == "system":
            rests["machine"]["load1min"] = rests["machine"].pop("load1min", rests["machine"].pop("load1Min", None))
        assert figures == rests, name


async def test_pages_go_back_to_the_first_and_repeat_nothing(asking: Asking, world: Any) -> None:
    for field, rows in (("bars", world.bars), ("indicators", world.indicators), ("ticks", world.ticks)):
        found: list[int] = []
        before = None
        time = "eventTimeUs" if field == "ticks" else "startUs"
        for _ in range(100):
            page = (
                await asking.data(
                    f"""query ($before: String) {{ symbol(name: "BTCUSDT") {{
                      page: {field}(limit: 37, before: $before) {{
                        nodes {{ {time} }} pageInfo {{ hasPreviousPage startCursor }} }} }} }}""",
                    before=before,
                )
            )["symbol"]["page"]
            found = [row[time] for row in page["nodes"]] + found
            before = page["pageInfo"]["startCursor"]
            if not page["pageInfo"]["hasPreviousPage"]:
                break
        assert found == [row.event_time_us if field == "ticks" else row.start_us for row in rows]


async def test_a_cursor_is_its_own_querys(asking: Asking) -> None:
    page = "nodes { startUs } pageInfo { startCursor }"
    cursor = (await asking.data(f'{{ symbol(name: "BTCUSDT") {{ bars(limit: 2) {{ {page} }} }} }}'))["symbol"]["bars"]
    place = cursor["pageInfo"]["startCursor"]
    for field in ('bars(window: "5min", limit: 2, before: $place)', "indicators(limit: 2, before: $place)"):
        error = await asking.error(
            f'query ($place: String) {{ symbol(name: "BTCUSDT") {{ {field} {{ {page} }} }} }}', place=place
        )
        assert error["extensions"]["code"] == "invalid-parameter"
        assert "cursor" in error["message"]


class Counted:
    """A reader that counts what it is asked."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._reader, name)

        def counted(*arguments: Any, **named: Any) -> Any:
            self.asked.append(name)
            return method(*arguments, **named)

        return counted


async def test_many_symbols_take_as_many_questions_as_one(asking: Asking, world: Any) -> None:
    names = [f"S{number:03}" for number in range(60)]
    for name in names:
        world.history.add(*(make_bar(world.bars[0].start_us + n * MINUTE_US, 3, symbol=name) for n in (0, 3)))
        world.history.add(make_indicators(make_bar(world.bars[0].start_us, 3, symbol=name)))
        world.cache.add(make_bar(world.bars[0].start_us + 4 * MINUTE_US, 3, symbol=name))
    query = """query ($names: [String!]!) { symbols(names: $names) {
      latest { tick { price } } quote { quote { bidPrice } } ticks(limit: 2) { nodes { price } cancelled { tradeId } }
      bars(limit: 3) { nodes { close } } filled: bars(limit: 4, fill: PREVIOUS) { nodes { close filled } }
      indicators(limit: 2) { nodes { values } } } }"""
    counts: list[list[list[str]]] = []
    for asked in (names[:1], names):
        cache, history = Counted(world.cache), Counted(world.history)
        world.market_data.cache.reader, world.market_data.history.reader = cache, history
        said = (await asking.data(query, names=asked))["symbols"]
        assert [len(one["bars"]["nodes"]) for one in said] == [3] * len(asked)
        assert [len(one["filled"]["nodes"]) for one in said] == [4] * len(asked)
        counts.append(
            [sorted(name for name in each.asked if name not in ("symbols", "intervals")) for each in (cache, history)]
        )
    assert counts[0] == counts[1]
    assert all(name.endswith("_of") for reader in counts[1] for name in reader)


@pytest.mark.parametrize("away", ["cache", "history"])
async def test_with_a_store_away_the_other_answers_as_rest_does(asking: Asking, world: Any, away: str) -> None:
    getattr(world, away).available = False
    said = await asking.data(f"""{{ symbol(name: "BTCUSDT") {{ latest {{ {ORIGIN} }} bars(limit: 3) {{ {ORIGIN} }}
      ticks(limit: 3) {{ {ORIGIN} cancelled {{ tradeId }} }} indicators(limit: 3) {{ {ORIGIN} }} }} }}""")
    for field, address in (
        ("latest", "latest"),
        ("bars", "aggregated"),
        ("ticks", "ticks"),
        ("indicators", "indicators"),
    ):
        rest = await asking.rest(f"{address}/BTCUSDT", **({} if field == "latest" else {"limit": 3}))
        kept = {name: part for name, part in said["symbol"][field].items() if name != "cancelled"}
        assert kept == {camel(name): rest[name] for name in ("source", "stale", "degraded", "received_us")}
    assert (said["symbol"]["ticks"]["cancelled"] is None) == (away == "history")


async def test_with_both_stores_away_each_field_says_so(asking: Asking, world: Any) -> None:
    world.cache.available = world.history.available = False
    body = await asking.body('{ symbol(name: "BTCUSDT") { name latest { stale } bars { source } } windows }')
    assert body["data"]["symbol"] == {"name": "BTCUSDT", "latest": None, "bars": None}
    assert [error["extensions"]["code"] for error in body["errors"]] == ["stores-unavailable"] * 2
    assert {error["extensions"]["status"] for error in body["errors"]} == {503}


@pytest.mark.parametrize(
    ("query", "code", "part"),
    [
        ('{ symbol(name: "BTCUSD") { name } }', "unknown-symbol", "BTCUSDT"),
        ('{ symbols(names: ["BTCUSDT", "NO"]) { name } }', "unknown-symbol", "'NO'"),
        ("{ symbols(names: []) { name } }", "invalid-parameter", "names"),
        ('{ symbol(name: "IBM") { bars(window: "7min") { source } } }', "invalid-parameter", "1min"),
        ('{ symbol(name: "IBM") { bars(start: "yesterday") { source } } }', "invalid-parameter", "start"),
        ('{ symbol(name: "IBM") { bars(start: "2", end: "1") { source } } }', "invalid-parameter", "before"),
        ('{ symbol(name: "IBM") { bars(limit: 0) { source } } }', "invalid-parameter", "limit"),
        ('{ symbol(name: "IBM") { ticks(before: "nonsense") { source } } }', "invalid-parameter", "cursor"),
        ('{ feedEvents(kind: "cheerful") { nodes { kind } } }', "invalid-parameter", "kind"),
        ('{ feedGaps(state: "wide") { nodes { state } } }', "invalid-parameter", "state"),
        ("{ completeness(limit: 3) { startUs } }", "invalid-parameter", "minutes"),
        ("{ nothing }", "bad-document", "nothing"),
        ("query ($a: Int!) { symbols(limit: $a) { name } }", "bad-document", "$a"),
        ("subscription { ticks(symbols: []) { dropped } }", "bad-document", "WebSocket"),
    ],
)
async def test_what_is_wrong_is_said(asking: Asking, query: str, code: str, part: str) -> None:
    error = await asking.error(query)
    assert error["extensions"]["code"] == code
    assert part in error["message"]


async def test_a_fault_of_ours_tells_nothing(asking: Asking, world: Any) -> None:
    class Broken(Counted):
        def __getattr__(self, name: str) -> Any:
            raise ValueError("the secret is 42")

    world.market_data.history.reader = Broken(None)
    body = await asking.body('{ symbol(name: "BTCUSDT") { bars { source } } }')
    assert "42" not in str(body)
    assert body["errors"][0]["extensions"]["code"] == "internal-error"


async def test_null_marks_what_there_is_nothing_of(asking: Asking) -> None:
    said = await asking.data('{ symbol(name: "IBM") { latest { stale } quote { stale } bars { nodes { open } } } }')
    assert said["symbol"] == {"latest": None, "quote": None, "bars": {"nodes": []}}


async def test_events_and_gaps_come_by_pages(asking: Asking, world: Any) -> None:
    world.feeds.add(*(make_event(1_700_000_000_000_000 + number, detail=str(number)) for number in range(5)))
    query = """query ($before: String) { feedEvents(limit: 3, before: $before) {
      nodes { kind provider detail timeUs attempt role fault lagMs gap { gapId } } pageInfo { startCursor } } }"""
    page = (await asking.data(query))["feedEvents"]
    rest = await asking.rest("feeds/events", limit=3)
    assert page["nodes"] == renamed(rest["events"])
    older = (await asking.data(query, before=page["pageInfo"]["startCursor"]))["feedEvents"]
    assert [event["detail"] for event in older["nodes"] + page["nodes"]] == list("01234")
    assert (await asking.data("{ feedGaps { nodes { gapId } pageInfo { hasPreviousPage } } }"))["feedGaps"][
        "nodes"
    ] == []
