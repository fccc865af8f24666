"""Which feeds run, decided once at the start, so that every process agrees. Writes: `<data_dir>/run/feeds.json`."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from marketstream.launch.secrets import write_private
from marketstream.providers.auto import resolve_feeds
from marketstream.settings import Settings


class FeedChoice(BaseModel):
    """One feed: an adapter and where it connects."""

    model_config = ConfigDict(frozen=True)

    provider: str
    websocket_url: str
    rest_url: str
    bundled: bool

    def __str__(self) -> str:
        return f"{self.provider}, from {'the bundled replay server' if self.bundled else self.websocket_url}"


Feeds = tuple[FeedChoice, ...]
_FEEDS: TypeAdapter[Feeds] = TypeAdapter(Feeds)


def choose_feeds(settings: Settings) -> Feeds:
    """Decides now; where a provider is `auto` that asks the network, for up to 3 s."""
    return tuple(
        FeedChoice(
            provider=feed.provider,
            websocket_url=feed.endpoint.websocket_url,
            rest_url=feed.endpoint.rest_url,
            bundled=feed.bundled,
        )
        for feed in resolve_feeds(settings)
    )


def remember_feeds(data_dir: Path, feeds: Feeds) -> None:
    """Keeps the decision for the supervisor and for `status`."""
    write_private(_file(data_dir), _FEEDS.dump_json(feeds, indent=1).decode())


def remembered_feeds(data_dir: Path) -> Feeds:
    """The decision last made; none before the first."""
    path = _file(data_dir)
    return _FEEDS.validate_json(path.read_bytes()) if path.exists() else ()


def as_launched(settings: Settings, provider: str) -> Settings:
    """The settings, with the bundled replay server's addresses where the platform takes this provider from it.

    Where `auto` chose it, the history that goes with its made-up trades is that server's too.
    """
    for feed in remembered_feeds(settings.data_dir):
        if feed.provider == provider and feed.bundled:
            endpoint = getattr(settings, provider)
            urls = {"websocket_url": feed.websocket_url, "rest_url": feed.rest_url}
            return settings.model_copy(update={provider: endpoint.model_copy(update=urls)})
    return settings


def feed_environment(feeds: Feeds) -> dict[str, str]:
    """The variables that make a process take exactly these feeds."""
    environment = {"MARKETSTREAM_PROVIDERS": ",".join(feed.provider for feed in feeds)}
    for feed in feeds:
        prefix = f"MARKETSTREAM_{feed.provider.upper()}__"
        environment[f"{prefix}WEBSOCKET_URL"] = feed.websocket_url
        environment[f"{prefix}REST_URL"] = feed.rest_url
    return environment


def describe_feeds(feeds: Feeds) -> str:
    """The feeds in words, in failover order."""
    return "; then ".join(map(str, feeds))


def _file(data_dir: Path) -> Path:
    return data_dir / "run" / "feeds.json"
