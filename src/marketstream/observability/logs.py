"""Structured logs on standard error, as console lines or JSON; values of secret-looking fields never appear."""

import logging
import sys
from typing import Any

import structlog

_SECRET_WORDS = ("password", "token", "api_key", "apikey", "secret", "authorization", "pepper", "credential", "cookie")


def configure_logs(level: str, log_format: str) -> None:
    """Sets up logging for this process; the standard library's loggers join in at the same level."""
    number = logging.getLevelNamesMapping()[level]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _redact,
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    # Libraries' debug lines drown everything and may hold what is not ours to print, so they start at INFO.
    logging.basicConfig(level=max(logging.INFO, number), handlers=[handler], force=True)
    for chatty in ("httpx", "py4j"):  # a line for every request, and for every call between Python and the JVM
        logging.getLogger(chatty).setLevel(logging.WARNING)


def get_logger(component: str) -> structlog.typing.FilteringBoundLogger:
    """A logger that names its component."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(component=component)
    return logger


def _redact(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {name: _redacted(name, value) for name, value in event.items()}


def _redacted(name: Any, value: Any) -> Any:
    if any(word in str(name).lower() for word in _SECRET_WORDS):
        return "[redacted]"
    if isinstance(value, dict):
        return {inner: _redacted(inner, held) for inner, held in value.items()}
    if isinstance(value, list):
        return [_redacted("", held) for held in value]
    if isinstance(value, tuple):  # stays one: exc_info is
        return tuple(_redacted("", held) for held in value)
    return value
