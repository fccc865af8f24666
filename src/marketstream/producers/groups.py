"""Which feeds supply which symbols: every symbol comes from the first well feed, in order, that carries it."""

from dataclasses import dataclass

from marketstream.clock import SystemClock
from marketstream.domain.errors import ConfigurationError, NoSymbolsError
from marketstream.domain.symbols import asset_class_of
from marketstream.ports import Provider
from marketstream.providers.auto import Feed
from marketstream.providers.registry import create_provider
from marketstream.providers.states import ignore_state
from marketstream.settings import Settings


@dataclass(frozen=True, slots=True)
class Group:
    """Symbols that the same feeds carry.

    Attributes:
        feeds: In failover order.
        settings: The platform's, with this group's symbols alone.
    """

    feeds: tuple[Feed, ...]
    settings: Settings


def group_symbols(settings: Settings, feeds: list[Feed]) -> list[Group]:
    """Groups the configured symbols by the feeds that carry them, both in configured order.

    Raises:
        ConfigurationError: No feed carries a symbol, or a provider has no adapter.
    """
    providers = [(feed, _provider(feed, settings)) for feed in feeds]
    carriers: dict[tuple[int, ...], list[str]] = {}
    for symbol in settings.symbols:
        able = [number for number, (_, provider) in enumerate(providers) if provider and symbol in provider.symbols]
        # A symbol of a kind that none of them is meant for goes to whoever takes it nevertheless.
        meant = [number for number in able if _is_meant_for(providers[number][1], symbol)] or able
        if not meant:
            names = ", ".join(feed.provider for feed in feeds)
            raise ConfigurationError(f"MARKETSTREAM_SYMBOLS: none of {names} carries {symbol}")
        carriers.setdefault(tuple(meant), []).append(symbol)
    return [
        Group(tuple(feeds[number] for number in numbers), settings.model_copy(update={"symbols": symbols}))
        for numbers, symbols in carriers.items()
    ]


def _provider(feed: Feed, settings: Settings) -> Provider | None:
    """The feed's adapter; None where it carries none of the symbols."""
    try:
        return create_provider(feed, settings, SystemClock(), ignore_state)
    except NoSymbolsError:
        return None


def _is_meant_for(provider: Provider | None, symbol: str) -> bool:
    return provider is not None and asset_class_of(symbol) in provider.capabilities.asset_classes
