"""Where the replay server can be reached, provider by provider."""

from marketstream.providers.auto import REPLAY_PATHS

ADMIN_PATH = "/admin"


class Addresses:
    """The addresses on one host and port.

    Args:
        host: Address listened on.
        port: Port listened on.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port

    def endpoints(self) -> dict[str, tuple[str, str]]:
        """Each provider's WebSocket and REST base addresses; the former is empty where a provider has none."""
        stream = f"ws://{self._host}:{self._port}"
        return {
            provider: ("" if path is None else stream + path, self.url_rest) for provider, path in REPLAY_PATHS.items()
        }

    @property
    def url_rest(self) -> str:
        """Base address of every provider's REST API."""
        return f"http://{self._host}:{self._port}"

    @property
    def url_polygon(self) -> str:
        """The Polygon protocol's address."""
        return self.endpoints()["polygon"][0]

    @property
    def url_binance(self) -> str:
        """The Binance protocol's base address, to which `/ws` or `/stream` is added."""
        return self.endpoints()["binance"][0]

    @property
    def url_binance_usdm(self) -> str:
        """The Binance futures protocol's base address, to which `/market/ws` and the like are added."""
        return self.endpoints()["binance_usdm"][0]

    @property
    def url_finage(self) -> str:
        """The Finage protocol's address, to which the token is added."""
        return self.endpoints()["finage"][0]

    @property
    def url_fmp(self) -> str:
        """The Financial Modeling Prep protocol's address; `/crypto` and `/forex` below it are its other hosts."""
        return self.endpoints()["fmp"][0]

    @property
    def url_finazon(self) -> str:
        """The Finazon protocol's address, to which the key is added."""
        return self.endpoints()["finazon"][0]

    @property
    def url_admin(self) -> str:
        """Where faults are injected from another process, if allowed."""
        return f"ws://{self._host}:{self._port}{ADMIN_PATH}"
