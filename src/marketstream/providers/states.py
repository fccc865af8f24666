"""How a client tells its owner what happens to the connection, between the frames it yields."""

from collections.abc import Awaitable, Callable

from marketstream.contracts.messages import FeedEventKind

# Called with what happened and words for a person; awaited, so that order against frames is kept.
StateListener = Callable[[FeedEventKind, str], Awaitable[None]]


async def ignore_state(_kind: FeedEventKind, _detail: str) -> None:
    """A listener for whoever wants the trades alone."""
