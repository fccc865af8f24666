"""The serving processes as strangers meet them: refused without authentication, and keys made by the command."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import orjson
import pytest
from click.testing import Result
from typer.testing import CliRunner
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from listening import listening
from marketstream.cli import app
from marketstream.domain.errors import ConfigurationError
from marketstream.settings import Settings
from marketstream.testing.platform import eventually
from marketstream.testing.samples import sample_ticks
from served import StoredMarket, served, stored_market
from stores import environment

pytestmark = pytest.mark.servers

START_US = 1_700_000_040_000_000
PEPPER = "pepper-of-the-tests-" * 2
LOCKED = {
    "MARKETSTREAM_ACCESS__REQUIRED": "true",
    "MARKETSTREAM_ACCESS__PEPPER": PEPPER,
    "MARKETSTREAM_ACCESS__CACHE_SECONDS": "0.2",
    "MARKETSTREAM_SERVING__HOST": "0.0.0.0",  # noqa: S104  # with authentication, that is allowed
}


@pytest.fixture(scope="module")
def market(server_settings: Callable[..., Settings]) -> Iterator[StoredMarket]:
    with stored_market(server_settings) as stored:
        stored.add(list(sample_ticks("BTCUSDT", start_us=START_US, end_us=START_US + 600_000_000, per_second=0.5)))
        yield stored


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("access")


@pytest.fixture(scope="module")
def api(market: StoredMarket, logs: Path) -> Iterator[httpx.Client]:
    port = market.settings.serving.api_port
    with (
        served("api", market.settings, port, logs / "api.log", **LOCKED) as address,
        httpx.Client(base_url=address, timeout=20) as client,
    ):
        yield client


@pytest.fixture
def command(market: StoredMarket, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`command("keys", "list")` runs the command as a shell would, over the same database."""
    for name, value in {**environment(market.settings), **LOCKED}.items():
        monkeypatch.setenv(name, value)
    return lambda *arguments: CliRunner().invoke(app, arguments)


def made(command: Callable[..., Result], *arguments: str) -> str:
    outcome = command("keys", *arguments)
    assert outcome.exit_code == 0, outcome.output
    return outcome.stdout.strip()


def status(api: httpx.Client, key: str, path: str = "/api/v1/latest/BTCUSDT", method: str = "GET") -> int:
    return api.request(method, path, headers={"X-API-Key": key}).status_code


@pytest.mark.parametrize("process", ["api", "dashboard", "websocket"])
@pytest.mark.parametrize(
    ("name", "value", "named"),
    [("REQUIRED", "false", "MARKETSTREAM_ACCESS__REQUIRED"), ("PEPPER", "short", "PEPPER")],
)
def test_no_process_opens_itself_to_the_network_without_asking(
    command: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, process: str, name: str, value: str, named: str
) -> None:
    monkeypatch.setenv(f"MARKETSTREAM_ACCESS__{name}", value)
    outcome = command("run", process)
    assert isinstance(outcome.exception, ConfigurationError)
    assert named in str(outcome.exception)
    assert value == "false" or value not in str(outcome.exception)


def test_a_key_is_made_used_rotated_and_revoked(api: httpx.Client, command: Callable[..., Result], logs: Path) -> None:
    assert api.get("/api/v1/latest/BTCUSDT").status_code == 401
    key = made(command, "create", "desk", "--role", "viewer", "--scope", "rest", "--days", "1")
    assert status(api, key) == 200
    assert status(api, key, "/api/v1/dead-letters/reinject", "POST") == 403

    listed = orjson.loads(made(command, "list", "--json"))
    assert [(each["name"], each["role"], each["scopes"], each["state"]) for each in listed] == [
        ("desk", "viewer", ["rest"], "valid")
    ]
    assert listed[0]["key_id"] in key
    assert key[17:] not in made(command, "list")

    second = made(command, "rotate", listed[0]["key_id"], "--overlap-hours", "1")
    assert (status(api, key), status(api, second)) == (200, 200)
    made(command, "revoke", key[:16])
    eventually(lambda: status(api, key) == 401, within_seconds=30, what="the revoked key is refused")
    assert status(api, second) == 200

    told = orjson.loads(command("audit", "--json").stdout)
    assert [(each["action"], each["outcome"]) for each in told] == [
        ("keys.revoke", "done"),
        ("keys.rotate", "done"),
        ("POST /api/v1/dead-letters/reinject", "refused"),
        ("keys.create", "done"),
    ]
    assert told[2]["who"] == "key:desk"
    assert told[2]["address"] == "127.0.0.1"
    log = (logs / "api.log").read_text()
    assert "credentials cross the network in clear" in log
    for secret in (key[17:], second[17:], PEPPER):
        assert secret not in log + str(told)


def test_the_screens_ask_too(market: StoredMarket, command: Callable[..., Result], logs: Path) -> None:
    key, elsewhere = made(command, "create", "looker"), made(command, "create", "else", "--scope", "rest")
    port = market.settings.serving.dashboard_port
    with (
        served("dashboard", market.settings, port, logs / "dashboard.log", **LOCKED) as address,
        httpx.Client(base_url=address, timeout=20) as screens,
    ):
        assert screens.get("/").status_code == 401
        assert screens.get("/", headers={"Accept": "text/html"}).headers["location"].startswith("/login")
        assert (status(screens, key, "/"), status(screens, elsewhere, "/")) == (200, 403)
        signed_in = screens.post("/login", data={"credential": key})
        assert signed_in.status_code == 303
        assert screens.get("/").status_code == 200


async def test_the_websocket_asks_too(market: StoredMarket, command: Callable[..., Result], logs: Path) -> None:
    key, elsewhere = made(command, "create", "listener"), made(command, "create", "deaf", "--scope", "rest")
    port = market.settings.serving.websocket_port
    with served("websocket", market.settings, port, logs / "websocket.log", **LOCKED) as address:
        url = address.replace("http", "ws")
        with pytest.raises(InvalidStatus, match="403"):
            await connect(url, additional_headers={"X-API-Key": elsewhere})
        async with (
            listening(url) as stranger,
            listening(url, additional_headers={"X-API-Key": key}) as known,
        ):
            assert stranger.welcome["type"] == "auth_required"
            assert (await stranger.ask(type="subscribe", symbols=["BTCUSDT"]))["code"] == "auth_required"
            assert known.welcome["principal"] == "key:listener"
            assert (await stranger.ask(type="auth", token=key))["type"] == "welcome"
            made(command, "revoke", key[:16])
            assert [await client.ended() for client in (stranger, known)] == [(4401, "credential_revoked")] * 2
    log = (logs / "websocket.log").read_text()
    assert "credentials cross the network in clear" in log
    assert key[17:] not in log


def test_what_can_not_be_is_said(command: Callable[..., Result]) -> None:
    for arguments, words in (
        (("create", "x", "--role", "root"), "root"),
        (("create", "=cmd"), "is no name"),
        (("create", "x", "--scope", "all"), "none of the scopes"),
        (("rotate", "nobody"), "there is no key"),
        (("revoke", "nobody"), "there is no key"),
    ):
        outcome = command("keys", *arguments)
        assert outcome.exit_code != 0
        assert words in " ".join(f"{outcome.output} {outcome.exception}".replace("│", " ").split())
