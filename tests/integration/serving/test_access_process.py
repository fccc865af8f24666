"""The serving processes as strangers meet them: refused without authentication, and keys made by the command."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import orjson
import pytest

from marketstream.settings import Settings
from marketstream.testing.platform import eventually
from marketstream.testing.samples import sample_ticks
from served import StoredMarket, served, stored_market
from stores import CLOSED_PORT, environment

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


def command(market: StoredMarket, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "marketstream", *arguments],
        env={**environment(market.settings), **LOCKED, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def made(market: StoredMarket, *arguments: str) -> str:
    outcome = command(market, "keys", *arguments)
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout.strip()


def status(api: httpx.Client, key: str, path: str = "/api/v1/latest/BTCUSDT", method: str = "GET") -> int:
    return api.request(method, path, headers={"X-API-Key": key}).status_code


@pytest.mark.parametrize("process", ["api", "dashboard"])
def test_no_process_opens_itself_to_the_network_without_asking(market: StoredMarket, process: str) -> None:
    open_to_all = {"MARKETSTREAM_ACCESS__REQUIRED": "false"}
    outcome = command(market, "run", process, **open_to_all)
    assert outcome.returncode == 1
    assert "MARKETSTREAM_ACCESS__REQUIRED" in outcome.stderr
    outcome = command(market, "run", process, MARKETSTREAM_ACCESS__PEPPER="short")
    assert outcome.returncode == 1
    assert "PEPPER" in outcome.stderr
    assert "short" not in outcome.stderr


def test_a_key_is_made_used_rotated_and_revoked(api: httpx.Client, market: StoredMarket, logs: Path) -> None:
    assert api.get("/api/v1/latest/BTCUSDT").status_code == 401
    key = made(market, "create", "desk", "--role", "viewer", "--scope", "rest", "--days", "1")
    assert status(api, key) == 200
    assert status(api, key, "/api/v1/dead-letters/reinject", "POST") == 403

    listed = orjson.loads(made(market, "list", "--json"))
    assert [(each["name"], each["role"], each["scopes"], each["state"]) for each in listed] == [
        ("desk", "viewer", ["rest"], "valid")
    ]
    assert listed[0]["key_id"] in key
    assert key[17:] not in made(market, "list")

    second = made(market, "rotate", listed[0]["key_id"], "--overlap-hours", "1")
    assert (status(api, key), status(api, second)) == (200, 200)
    made(market, "revoke", key[:16])
    eventually(lambda: status(api, key) == 401, within_seconds=30, what="the revoked key is refused")
    assert status(api, second) == 200

    told = orjson.loads(command(market, "audit", "--json").stdout)
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


def test_what_can_not_be_is_said(market: StoredMarket) -> None:
    for arguments, words in (
        (("create", "x", "--role", "root"), "root"),
        (("create", "=cmd"), "no name"),
        (("create", "x", "--scope", "all"), "none of the scopes"),
        (("rotate", "nobody"), "there is no key"),
        (("revoke", "nobody"), "there is no key"),
    ):
        outcome = command(market, "keys", *arguments)
        assert outcome.returncode != 0
        assert words in " ".join(outcome.stderr.split()), outcome.stderr


def test_keys_that_were_never_known_are_told_to_try_again(market: StoredMarket, logs: Path) -> None:
    key = made(market, "create", "outage")
    port = market.settings.serving.dashboard_port
    away = {"MARKETSTREAM_POSTGRES__PORT": str(CLOSED_PORT), "MARKETSTREAM_SERVING__API_PORT": str(port)}
    with served("api", market.settings, port, logs / "away.log", **LOCKED, **away) as address:
        answer = httpx.get(f"{address}/api/v1/latest/BTCUSDT", headers={"X-API-Key": key}, timeout=30)
    assert answer.status_code == 503  # it was never known there
    assert answer.json()["type"] == "/problems/access-unchecked"
    assert "WWW-Authenticate" not in answer.headers
