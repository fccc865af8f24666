"""Which symbols go over which connection, where a provider has a server of its own for each market."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from marketstream.domain.market import AssetClass
from marketstream.domain.symbols import asset_class_of
from marketstream.providers.symbology import Symbology
from marketstream.providers.websocket import SocketConfig


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection and what is subscribed to over it.

    Attributes:
        socket: Where.
        symbols: The provider's names of the symbols, in configured order.
    """

    socket: SocketConfig
    symbols: tuple[str, ...]


def connections(names: Symbology, socket: SocketConfig, url_of: Callable[[AssetClass], str]) -> tuple[Connection, ...]:
    """One connection for each address that some symbol needs.

    Args:
        names: The symbols.
        socket: What the connections have in common; its address is replaced.
        url_of: The address for symbols of an asset class.
    """
    symbols: dict[str, list[str]] = {}
    for symbol, name in names.wire_names.items():
        symbols.setdefault(url_of(asset_class_of(symbol)), []).append(name)
    return tuple(Connection(replace(socket, url=url), tuple(some)) for url, some in symbols.items())
