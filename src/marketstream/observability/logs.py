"""Structured logs on standard error, as console lines or JSON; values of secret-looking fields never appear."""

import logging
import sys
from typing import Any

import structlog

_SECRET_WORDS = ("password", "token", "api_key", "apikey", "secret", "authorization")


def configure_logs(level: str, log_format: str) -> None:
    """Sets up logging for this process; the standard library's loggers join in at the same level."""
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _redact,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(
        level=max(logging.INFO, logging.getLevelNamesMapping()[level]), format="%(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)


def get_logger(component: str) -> structlog.typing.FilteringBoundLogger:
    """A logger that names its component."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(component=component)
    return logger


def _redact(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    for name in event:
        if any(word in name.lower() for word in _SECRET_WORDS):
            event[name] = "[redacted]"
    return event
