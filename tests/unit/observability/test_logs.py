"""Logs: one JSON object a line, at the wanted level, and never a secret."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from marketstream.observability.logs import configure_logs, get_logger


@pytest.fixture(autouse=True)
def unconfigured() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()


def test_a_line_of_json_names_component_level_and_time(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("INFO", "json")
    get_logger("producer").info("connected", provider="binance")
    captured = capsys.readouterr()
    line = json.loads(captured.err)
    assert captured.out == ""
    assert (line["component"], line["level"], line["event"]) == ("producer", "info", "connected")
    assert line["provider"] == "binance"
    assert line["timestamp"].endswith("Z")


def test_what_is_below_the_level_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("WARNING", "console")
    get_logger("api").info("quiet")
    get_logger("api").warning("loud")
    said = capsys.readouterr().err
    assert "quiet" not in said
    assert "loud" in said


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_secret_is_not_said(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("DEBUG", log_format)
    get_logger("x").warning("auth", api_key="k1", reader_password="k2", Authorization="k3", nested=[{"token": "k4"}])
    said = capsys.readouterr().err
    assert "[redacted]" in said
    assert not any(secret in said for secret in ("k1", "k2", "k3", "k4"))


def test_an_exception_carries_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("INFO", "json")
    try:
        raise ValueError("what went wrong")
    except ValueError:
        get_logger("x").exception("failed")
    assert "what went wrong" in json.loads(capsys.readouterr().err)["exception"]


def test_a_library_s_line_has_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("DEBUG", "json")
    logging.getLogger("uvicorn.error").setLevel(logging.NOTSET)  # a server in this process may have made it quieter
    logging.getLogger("uvicorn.error").info("started on %d", 8000)
    logging.getLogger("noisy.library").debug("not ours")
    (line,) = map(json.loads, capsys.readouterr().err.splitlines())
    assert (line["event"], line["logger"], line["level"]) == ("started on 8000", "uvicorn.error", "info")


def test_a_library_s_exception_carries_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("INFO", "json")
    try:
        raise ValueError("what went wrong")
    except ValueError:
        logging.getLogger("library").exception("failed")
    assert "what went wrong" in json.loads(capsys.readouterr().err)["exception"]
