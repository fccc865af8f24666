"""Settings: where they come from, which wins, and how a wrong one is named."""

import re
from pathlib import Path

import pytest

from marketstream.domain.errors import ConfigurationError
from marketstream.settings import Settings, cache_dir, load_settings, metrics_directory


@pytest.fixture(autouse=True)
def empty_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory and an environment without the platform's variables."""
    import os

    for name in [name for name in os.environ if name.startswith("MARKETSTREAM_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_any_setting_the_defaults_hold(empty_world: Path) -> None:
    settings = load_settings()
    assert settings.providers == ["auto"]
    assert settings.data_dir == empty_world / ".marketstream"
    assert [interval.name for interval in settings.intervals] == ["1min", "5min", "15min"]
    assert (settings.kafka.bootstrap_servers, settings.influx.url) == ("127.0.0.1:9092", "http://127.0.0.1:8086")


def test_ports_are_those_the_documentation_promises() -> None:
    s = load_settings()
    promised = {8000, 8001, 8050, 9100, 9092, 5432, 6379, 8086, 4040, 4041}
    assert promised == {
        s.serving.api_port,
        s.serving.websocket_port,
        s.serving.dashboard_port,
        s.serving.metrics_port,
        s.kafka.port,
        s.postgres.port,
        s.redis.port,
        s.influx.port,
        s.streaming.ui_port,
        s.streaming.indicators_ui_port,
    }


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKETSTREAM_SYMBOLS", " ibm, BAC ,ibm,")
    monkeypatch.setenv("MARKETSTREAM_PROVIDERS", "polygon,binance")
    monkeypatch.setenv("MARKETSTREAM_STREAMING__INTERVALS", "15min,1s,5min")
    settings = load_settings()
    assert settings.symbols == ["IBM", "BAC"]
    assert settings.providers == ["polygon", "binance"]
    assert settings.streaming.intervals == ["1s", "5min", "15min"]


def test_setting_one_part_of_a_section_keeps_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKETSTREAM_POLYGON__API_KEY", "k-123")
    settings = load_settings()
    assert settings.polygon.api_key.get_secret_value() == "k-123"
    assert settings.polygon.websocket_url == "wss://socket.massive.com/stocks"


def test_an_empty_variable_means_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKETSTREAM_SYMBOLS", "")
    monkeypatch.setenv("MARKETSTREAM_REPLAY__FILE", "")
    settings = load_settings()
    assert (settings.symbols[0], settings.replay.file) == ("BTCUSDT", None)


def test_arguments_beat_the_environment_which_beats_the_file_which_beats_the_secrets(
    empty_world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = empty_world / ".marketstream" / "secrets.env"
    secrets.parent.mkdir()
    secrets.write_text("\n".join(f"MARKETSTREAM_KAFKA__{name}" for name in ("PORT=1001", "HEAP_MB=301", "HOST=s")))
    (empty_world / ".env").write_text("MARKETSTREAM_KAFKA__PORT=1002\nMARKETSTREAM_KAFKA__HEAP_MB=302\n")
    monkeypatch.setenv("MARKETSTREAM_KAFKA__PORT", "1003")
    kafka = load_settings().kafka
    assert (kafka.port, kafka.heap_mb, kafka.host) == (1003, 302, "s")
    assert load_settings(kafka={"port": 1004}).kafka.port == 1004


@pytest.mark.parametrize("where", ["environment", "file"])
def test_secrets_are_found_where_the_data_is(where: str, empty_world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_world / "elsewhere").mkdir()
    (empty_world / "elsewhere" / "secrets.env").write_text("MARKETSTREAM_REDIS__PASSWORD=hidden\n")
    if where == "environment":
        monkeypatch.setenv("MARKETSTREAM_DATA_DIR", "elsewhere")
    else:
        (empty_world / ".env").write_text("MARKETSTREAM_DATA_DIR=elsewhere\n")
    settings = load_settings()
    assert settings.data_dir == empty_world / "elsewhere"
    assert settings.redis.password.get_secret_value() == "hidden"


def test_a_secret_shows_in_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKETSTREAM_POSTGRES__OWNER_PASSWORD", "do-not-show")
    settings = load_settings()
    assert "do-not-show" not in f"{settings!r}{settings}{settings.model_dump_json()}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KAFKA__PORT", "0"),
        ("KAFKA__PORT", "65536"),
        ("KAFKA__PORT", "kafka"),
        ("KAFKA__PROT", "9092"),  # misspelt
        ("SYMBOLS", ","),
        ("PROVIDERS", "reuters"),
        ("STREAMING__INTERVALS", "1min,7min"),
        ("STREAMING__INTERVALS", "1min,60s"),
        ("STREAMING__INTERVALS", ","),
        ("INGEST__ALLOWED_LATENESS_SECONDS", "-1"),
        ("LAUNCH", "cloud"),
        ("INDICATORS__SMA", "20,20"),
        ("INDICATORS__EMA", "12,0"),
        ("INDICATORS__EMA", "twelve"),
        ("INDICATORS__RSI", "1"),
        ("INDICATORS__MACD_SLOW", "12"),
        ("INDICATORS__BOLLINGER_DEVIATIONS", "nan"),
        ("POSTGRES__WRITER_PASSWORD__X", "secret-value"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"MARKETSTREAM_{name}", value)
    variable = re.match(r"[A-Z]+(__[A-Z]+(_[A-Z]+)*)?", name)
    assert variable is not None
    with pytest.raises(ConfigurationError, match=f"MARKETSTREAM_{variable[0]}") as caught:
        load_settings()
    assert "secret-value" not in str(caught.value)


def test_the_faster_average_alone_can_be_too_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKETSTREAM_INDICATORS__MACD_FAST", "26")
    with pytest.raises(ConfigurationError, match=r"MACD_SLOW: .*macd_slow must be above macd_fast"):
        load_settings()


def test_a_section_given_as_one_value_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKETSTREAM_KAFKA", "localhost:9092")
    with pytest.raises(ConfigurationError, match="one by one, as in MARKETSTREAM_KAFKA__PORT"):
        load_settings()


def test_settings_do_not_change_once_read() -> None:
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.log_level = "DEBUG"
    assert isinstance(settings, Settings)


def test_directories_follow_their_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "marketstream"
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    assert metrics_directory() is None
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    assert metrics_directory() == tmp_path
