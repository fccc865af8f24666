"""One canonical symbol, and what a provider calls it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from marketstream.domain.errors import ConfigurationError, NoSymbolsError
from marketstream.domain.market import AssetClass
from marketstream.domain.symbols import asset_class_of

# The provider's name of a canonical symbol; None where it doesn't carry such a one.
Naming = Callable[[str, AssetClass], str | None]


@dataclass(frozen=True, slots=True)
class Symbology:
    """The configured symbols that one provider carries, both ways. Build it with `of`.

    Attributes:
        wire_names: The provider's name by canonical symbol, in configured order.
        canonical_names: The canonical symbol by provider's name, upper case.
    """

    wire_names: Mapping[str, str]
    canonical_names: Mapping[str, str]

    @classmethod
    def of(cls, provider: str, symbols: Sequence[str], names: Mapping[str, str], naming: Naming) -> "Symbology":
        """Names every symbol the provider carries.

        Args:
            provider: The provider's name, for errors.
            symbols: Canonical symbols.
            names: The user's own names by canonical symbol; they win.
            naming: The provider's rule for all others.

        Raises:
            NoSymbolsError: None of the symbols is carried.
            ConfigurationError: Two symbols have the same name.
        """
        own = {symbol.upper(): name for symbol, name in names.items()}
        wire: dict[str, str] = {}
        for symbol in symbols:
            name = own.get(symbol) or naming(symbol, asset_class_of(symbol))
            if name is not None:
                wire[symbol] = name
        canonical = {name.upper(): symbol for symbol, name in wire.items()}
        if not wire:
            raise NoSymbolsError(f"MARKETSTREAM_SYMBOLS: {provider} carries none of {', '.join(symbols)}")
        if len(canonical) < len(wire):
            raise ConfigurationError(f"MARKETSTREAM_SYMBOLS: two of them are the same to {provider}: {dict(wire)}")
        return cls(MappingProxyType(wire), MappingProxyType(canonical))

    @property
    def symbols(self) -> tuple[str, ...]:
        """The canonical symbols, in configured order."""
        return tuple(self.wire_names)

    def wire(self, symbol: str) -> str:
        """The provider's name of a canonical symbol."""
        return self.wire_names[symbol]

    def canonical(self, name: str) -> str:
        """The canonical symbol of a provider's name; of a name that isn't configured, the name in upper case."""
        upper = name.upper()
        return self.canonical_names.get(upper, upper)


# For parsing without settings: every name is its own symbol.
PLAIN = Symbology(MappingProxyType({}), MappingProxyType({}))
