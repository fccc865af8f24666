"""The plan: which services there are, in which order, with which feeds."""

from pathlib import Path

import pytest

from marketstream.launch import plan
from marketstream.launch.daemon import fingerprint
from marketstream.launch.feeds import (
    FeedChoice,
    describe_feeds,
    feed_environment,
    remember_feeds,
    remembered_feeds,
)
from marketstream.launch.service import Kind, Service
from marketstream.launch.supervisor import start_levels
from marketstream.settings import Settings, load_settings

REPLAY = FeedChoice(
    provider="binance", websocket_url="ws://127.0.0.1:8765", rest_url="http://127.0.0.1:8765", bundled=True
)
LIVE = FeedChoice(
    provider="polygon", websocket_url="wss://example.com/stocks", rest_url="https://example.com", bundled=False
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(data_dir=tmp_path)


def by_name(settings: Settings, *feeds: FeedChoice) -> dict[str, Service]:
    return {service.name: service for service in plan.platform_services(settings, feeds)}


def test_the_whole_platform_is_there_and_can_be_ordered(settings: Settings) -> None:
    services = by_name(settings, REPLAY)
    start_levels(tuple(services.values()))
    expected = {"kafka", "postgres", "redis", "influxdb", "topics", "migrations", "replay", "producer", "bars"}
    expected |= {
        "closer",
        "corrector",
        "redis-writer",
        "timescale-writer",
        "influx-writer",
        "api",
        "websocket",
        "dashboard",
        "metrics",
    }
    expected |= {"indicators", "prometheus", "alertmanager", "grafana"}
    assert expected <= services.keys()


def test_the_replay_server_runs_only_where_a_feed_needs_it(settings: Settings) -> None:
    assert "replay" in by_name(settings, LIVE, REPLAY)
    services = by_name(settings, LIVE)
    assert "replay" not in services
    assert "replay" not in services["producer"].after


def test_the_producer_is_told_the_feeds(settings: Settings) -> None:
    environment = by_name(settings, LIVE, REPLAY)["producer"].environment()
    assert environment["MARKETSTREAM_PROVIDERS"] == "polygon,binance"
    assert environment["MARKETSTREAM_BINANCE__WEBSOCKET_URL"] == "ws://127.0.0.1:8765"
    assert environment["MARKETSTREAM_POLYGON__REST_URL"] == "https://example.com"


def test_addresses_say_where_each_process_listens_and_how(tmp_path: Path) -> None:
    serving = {"host": "0.0.0.0", "metrics_host": "10.0.0.5"}  # noqa: S104  # only shown
    pem = {"tls_certificate": tmp_path / "certificate.pem", "tls_key": tmp_path / "key.pem"}
    for tls, more in (("", {}), ("s", pem)):
        services = by_name(load_settings(data_dir=tmp_path, serving=serving | more))
        assert [services[name].address for name in ("api", "websocket", "dashboard", "metrics")] == [
            f"http{tls}://127.0.0.1:8000/docs",
            f"ws{tls}://127.0.0.1:8001",
            f"http{tls}://127.0.0.1:8050",
            "http://10.0.0.5:9100/metrics",
        ]


def test_told_feeds_resolve_to_themselves(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from marketstream.launch.feeds import choose_feeds

    for name, value in feed_environment((LIVE, REPLAY)).items():
        monkeypatch.setenv(name, value)
    assert choose_feeds(load_settings()) == (LIVE, REPLAY)


def test_feeds_are_remembered(tmp_path: Path) -> None:
    assert remembered_feeds(tmp_path) == ()
    remember_feeds(tmp_path, (REPLAY, LIVE))
    assert remembered_feeds(tmp_path) == (REPLAY, LIVE)


def test_feeds_in_words() -> None:
    words = describe_feeds((LIVE, REPLAY))
    assert words == "polygon, from wss://example.com/stocks; then binance, from the bundled replay server"


def test_what_influxdb_lacks_only_its_writer_misses(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from marketstream.launch.servers import influxdb

    monkeypatch.setattr(influxdb, "_binary", lambda: None)
    monkeypatch.setattr(influxdb, "missing_tools", lambda: ["Go 1.23"])
    services = by_name(settings)
    assert services["influxdb"].absent is not None
    assert "Go 1.23" in services["influxdb"].absent
    needing = {name for name, service in services.items() if "influxdb" in service.after}
    assert needing == {"influx-writer"}
    assert all(services[name].optional for name in needing | {"influxdb"})


def test_missing_jars_are_fetched_before_kafka_and_spark(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "jars_present", lambda _configuration: False)
    services = by_name(settings)
    assert services["jars"].kind is Kind.STEP
    assert "jars" in services["kafka"].after
    assert "jars" in services["bars"].after
    assert "jars" in services["indicators"].after


def test_a_standalone_spark_runs_before_its_jobs_only_where_it_is_asked_for(settings: Settings, tmp_path: Path) -> None:
    assert not by_name(settings).keys() & {"spark-master", "spark-worker"}
    own = load_settings(data_dir=tmp_path, streaming={"master": "standalone"}, cluster={"port": 17_077})
    services = by_name(own)
    start_levels(tuple(services.values()))
    assert services["spark-worker"].after == ("spark-master",)
    assert "spark-worker" in services["bars"].after
    assert "spark-worker" in services["indicators"].after
    assert services["spark-master"].ports == (17_077, 8_080)


def test_ports_follow_the_settings(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path, serving={"api_port": 18_000, "host": "0.0.0.0"})  # noqa: S104  # compared
    api = by_name(settings)["api"]
    assert api.ports == (18_000,)
    assert api.address == "http://127.0.0.1:18000/docs"


def test_fingerprints_show_changes_and_no_secrets(tmp_path: Path) -> None:
    first = fingerprint(load_settings(data_dir=tmp_path, redis={"password": "first", "port": 1}))
    second = fingerprint(load_settings(data_dir=tmp_path, redis={"password": "second", "port": 2}))
    changed = {name for name in first if first[name] != second[name]}
    assert changed == {"MARKETSTREAM_REDIS__PASSWORD", "MARKETSTREAM_REDIS__PORT"}
    assert "first" not in str(first)
