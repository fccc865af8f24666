"""What every HTTP process shares: who may bind where, and what each answer carries."""

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY
from pydantic import SecretStr
from starlette.types import ASGIApp

from marketstream.domain.errors import ConfigurationError
from marketstream.serving.http import check_host, enveloped
from marketstream.settings import AccessSettings, ServingSettings


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_hosts_are_served(host: str) -> None:
    check_host(ServingSettings(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])  # noqa: S104  # refused is the point
def test_other_hosts_are_refused_with_the_reason(host: str) -> None:
    with pytest.raises(ConfigurationError, match="MARKETSTREAM_ACCESS__REQUIRED"):
        check_host(ServingSettings(host=host))


def test_other_hosts_are_served_where_everybody_is_asked() -> None:
    asking = AccessSettings(required=True, pepper=SecretStr("p" * 32))
    check_host(ServingSettings(host="0.0.0.0"), asking)  # noqa: S104  # allowed is the point
    with pytest.raises(ConfigurationError):
        check_host(ServingSettings(host="0.0.0.0"), AccessSettings())  # noqa: S104  # refused is the point


def test_a_container_may_serve_all_its_interfaces() -> None:
    check_host(ServingSettings(host="0.0.0.0", allow_remote=True))  # noqa: S104  # what the setting is for


def application() -> ASGIApp:
    app = FastAPI()

    @app.get("/things/{name}")
    def thing(name: str) -> dict[str, str]:
        if name == "broken":
            raise RuntimeError("broken")
        return {"name": name * 500}

    return enveloped(app, "default-src 'none'")


async def get(path: str, **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(application(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get(path, headers=headers)


async def test_an_answer_carries_an_id_its_time_and_the_security_headers() -> None:
    headers = (await get("/things/a")).headers
    assert len(headers["x-request-id"]) == 32
    assert headers["server-timing"].startswith("app;dur=")
    assert headers["content-security-policy"] == "default-src 'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"


async def test_the_callers_request_id_is_kept_if_it_is_a_plain_word() -> None:
    assert (await get("/things/a", **{"X-Request-ID": "job-7.1"})).headers["x-request-id"] == "job-7.1"
    assert (await get("/things/a", **{"X-Request-ID": "a b"})).headers["x-request-id"] != "a b"
    assert len((await get("/things/a", **{"X-Request-ID": "x" * 65})).headers["x-request-id"]) == 32


async def test_big_answers_are_compressed_and_small_ones_are_not() -> None:
    assert (await get("/things/abc")).headers.get("content-encoding") == "gzip"
    assert "content-encoding" not in (await get("/things/a", **{"Accept-Encoding": "identity"})).headers


def counted(route: str, status: str) -> float:
    labels = {"route": route, "method": "GET", "status": status}
    return REGISTRY.get_sample_value("marketstream_requests_total", labels) or 0.0


async def test_requests_are_counted_by_route_template() -> None:
    before = counted("/things/{name}", "200"), counted("unmatched", "404")
    await get("/things/a")
    await get("/things/b")
    await get("/nowhere")
    assert counted("/things/{name}", "200") == before[0] + 2
    assert counted("unmatched", "404") == before[1] + 1


async def test_a_crash_is_counted_as_500() -> None:
    before = counted("/things/{name}", "500")
    assert (await get("/things/broken")).status_code == 500
    assert counted("/things/{name}", "500") == before + 1
