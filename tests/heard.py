"""What tests of adapters over real sockets hear: frames until enough, states, and the error that ends a stream."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

import pytest

from marketstream.domain.errors import ProviderError
from marketstream.domain.outcomes import Parsed
from marketstream.ports import Frame, Provider


class States:
    """A state listener that remembers."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    async def __call__(self, kind: str, detail: str) -> None:
        self.heard.append((kind, detail))

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.heard]

    def of(self, kind: str) -> list[str]:
        return [detail for each, detail in self.heard if each == kind]

    def count(self, kind: str) -> int:
        return self.kinds.count(kind)


async def outcomes(stream: AsyncGenerator[Frame, None], enough: Callable[[list[Parsed]], bool]) -> list[Parsed]:
    """A stream's outcomes until there are enough; fails where it ends before."""
    found: list[Parsed] = []
    async with aclosing(stream) as opened:
        async for frame in opened:
            found += frame.outcomes
            if enough(found):
                return found
    pytest.fail(f"the stream ended after {len(found)} outcomes")


async def failure(provider: Provider, *secrets: str) -> ProviderError:
    """The error that the provider's stream ends with, which holds no secret."""
    with pytest.raises(ProviderError) as raised:
        await outcomes(provider.stream(), lambda _: False)
    assert raised.value.provider == provider.name
    assert not any(secret in str(raised.value) for secret in secrets)
    return raised.value


async def pages(stream: AsyncGenerator[Frame, None]) -> Sequence[Sequence[Parsed]]:
    """The outcomes of a history's pages."""
    return [frame.outcomes async for frame in stream]
