"""What can be asked once: the same questions as REST's, answered by the same readers."""

from collections.abc import Sequence
from typing import Annotated, Any, get_args

import strawberry

from marketstream.contracts.messages import FeedEventKind, GapState
from marketstream.serving.api.feed_schemas import FeedBody, MinuteBody
from marketstream.serving.api.feeds import check_size, whole_minutes
from marketstream.serving.api.paging import Place, pack_cursor, unpack_cursor
from marketstream.serving.api.problems import Problem, invalid_parameter, near
from marketstream.serving.graphql import feed_types as feeds_of
from marketstream.serving.graphql.context import Info
from marketstream.serving.graphql.metrics_query import PlatformFigures
from marketstream.serving.graphql.rows import Rows
from marketstream.serving.graphql.symbol import (
    Before,
    End,
    Limit,
    Start,
    SymbolNode,
    check_limit,
    page_info,
    read_range,
    said,
)

_MOST_SYMBOLS = 500
_NAMED_AT_MOST = 5

Names = Annotated[
    list[str] | None,
    strawberry.argument(description=f"In any case, at most {_MOST_SYMBOLS}; without it, all known ones"),
]
Provider = Annotated[str | None, strawberry.argument(description="Of this provider")]


@strawberry.type(description="Whatever can be asked once.")
class Query:
    """The root."""

    @strawberry.field(description="A symbol by its name, in any case", graphql_type=SymbolNode | None)
    async def symbol(self, info: Info, name: str) -> Any:
        """An unknown one is an error that names near ones."""
        (node,) = await known_symbols(info, [name])
        return node

    @strawberry.field(
        description="Symbols by their names, or the first so many known ones by name; their data is read together",
        graphql_type=list[SymbolNode] | None,
    )
    async def symbols(
        self,
        info: Info,
        names: Names = None,
        limit: Annotated[int, strawberry.argument(description="Without names: at most so many")] = 100,
        after: Annotated[str | None, strawberry.argument(description="Without names: those after this one")] = None,
    ) -> Any:
        """One unknown name refuses them all."""
        if names is not None:
            return await known_symbols(info, names)
        check_limit(limit, _MOST_SYMBOLS)
        readers = info.context.services.readers
        known = await readers.run(readers.market_data.symbols)
        return [SymbolNode(name=name) for name in known if after is None or name > after.upper()][:limit]

    @strawberry.field(description="The lengths that bars have here, shortest first")
    async def windows(self, info: Info) -> list[str]:
        """As REST's."""
        readers = info.context.services.readers
        return [interval.name for interval in await readers.run(readers.market_data.intervals)]

    @strawberry.field(
        description="How every provider's feed is: the configured ones in failover order, then others",
        graphql_type=list[feeds_of.Feed] | None,
    )
    async def feeds(self, info: Info) -> Any:
        """As REST's."""
        feed_data = info.context.services.feeds()
        states = await info.context.services.readers.run(feed_data.feeds)
        return [FeedBody.of(state, feed_data.now_us()) for state in states]

    @strawberry.field(
        description="The newest events of the last 30 days: connects, failovers, gaps and the like",
        graphql_type=feeds_of.FeedEventConnection | None,
    )
    async def feed_events(
        self,
        info: Info,
        provider: Provider = None,
        kind: str | None = None,
        limit: Limit = 100,
        before: Before = None,
    ) -> Any:
        """As REST's."""
        check_limit(limit)
        _check_word("kind", kind, get_args(FeedEventKind))
        query = said("feedEvents", provider, kind)
        place: Any = None if before is None else unpack_cursor(before, query, (int, str, str))
        feed_data = info.context.services.feeds()

        def read() -> list[Any]:
            word: Any = kind
            return feed_data.events(provider=provider, kind=word, before=place, limit=limit)

        found = await info.context.services.readers.run(read)
        first = found[0][0] if len(found) >= limit else None
        return _connection([event for _, event in found], first, query)

    @strawberry.field(
        description="The newest gaps that touch `[start, end)`, and what became of each",
        graphql_type=feeds_of.FeedGapConnection | None,
    )
    async def feed_gaps(
        self,
        info: Info,
        symbol: str | None = None,
        provider: Provider = None,
        state: str | None = None,
        start: Start = None,
        end: End = None,
        limit: Limit = 100,
        before: Before = None,
    ) -> Any:
        """As REST's."""
        check_limit(limit)
        _check_word("state", state, get_args(GapState))
        query = said("feedGaps", symbol, provider, state, start, end)
        place: Any = None if before is None else unpack_cursor(before, query, (int, str))
        feed_data, between = info.context.services.feeds(), read_range(start, end)

        def read() -> list[Any]:
            word: Any = state
            name = symbol and symbol.upper()
            return feed_data.gaps(
                symbol=name, provider=provider, state=word, between_us=between, before=place, limit=limit
            )

        found = await info.context.services.readers.run(read)
        first = (found[0].start_us, found[0].gap_id) if len(found) >= limit else None
        return _connection(found, first, query)

    @strawberry.field(
        description="How complete the trades of each minute are that `[start, end)` touches; without a range, of the "
        "last hour",
        graphql_type=feeds_of.Completeness | None,
    )
    async def completeness(
        self,
        info: Info,
        names: Names = None,
        start: Start = None,
        end: End = None,
        limit: Annotated[int, strawberry.argument(description="At most so many minutes; more are refused")] = 1_000,
    ) -> Any:
        """As REST's, in one piece."""
        check_limit(limit)
        services = info.context.services
        feed_data, readers = services.feeds(), services.readers
        if names is None:
            wanted = await readers.run(readers.market_data.symbols)
        else:
            wanted = [node.name for node in await known_symbols(info, names)]
        between = whole_minutes(*read_range(start, end), feed_data.now_us())
        check_size(len(wanted), between[1] - between[0])
        minutes = len(wanted) * (between[1] - between[0]) // 60_000_000
        if minutes > limit:
            text = f"{len(wanted)} symbols over this range are {minutes:,} minutes: name fewer, or raise it"
            raise invalid_parameter("limit", text)
        found = await readers.run(feed_data.completeness, sorted(wanted), *between)
        rows = Rows([MinuteBody.of(record) for record in found])
        return {"start_us": between[0], "end_us": between[1], "minutes": rows}

    @strawberry.field(description="The platform's own figures")
    def platform(self) -> PlatformFigures:
        """Each is asked when it is selected."""
        return PlatformFigures()


async def known_symbols(info: Info, names: Sequence[str]) -> list[SymbolNode]:
    """The symbols of these names, each once.

    Raises:
        Problem: One is unknown, or there are too many.
    """
    if not 0 < len(names) <= _MOST_SYMBOLS:
        raise invalid_parameter("names", f"{len(names)} names, where 1 to {_MOST_SYMBOLS} may be")
    readers = info.context.services.readers
    wanted = list(dict.fromkeys(name.strip().upper() for name in names))
    known = await readers.run(readers.market_data.symbols)
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        raise _unknown(unknown, known)
    return [SymbolNode(name=name) for name in wanted]


def _unknown(names: Sequence[str], known: Sequence[str]) -> Problem:
    shown = [name[:32] for name in names[:_NAMED_AT_MOST]]
    alike = list(dict.fromkeys(each for name in shown for each in near(name, known)))
    hint = f"Did you mean {' or '.join(alike)}?" if alike else "The query { symbols { name } } lists them."
    detail = f"No symbol {', '.join(map(repr, shown))} is known. {hint}"
    return Problem(404, "unknown-symbol", "Unknown symbol", detail, suggestions=alike)


def _check_word(name: str, word: str | None, words: Sequence[str]) -> None:
    if word is not None and word not in words:
        raise invalid_parameter(name, f"{word[:40]!r} is none of {', '.join(words)}")


def _connection(rows: Sequence[Any], place: Place | None, query: bytes) -> dict[str, Any]:
    cursor = None if place is None else pack_cursor(place, query)
    return {"nodes": Rows(rows), "page_info": page_info(cursor)}
