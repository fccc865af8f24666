"""The supervisor's process: `python -m marketstream.launch.daemon`, detached by `marketstream up` or run in front."""

import asyncio
import hashlib
import os
import shutil
import sys
from collections.abc import Mapping, Sequence

from marketstream.domain.errors import MarketstreamError
from marketstream.launch.feeds import describe_feeds, remembered_feeds
from marketstream.launch.leftovers import MARKER
from marketstream.launch.logfiles import log_path, open_log
from marketstream.launch.plan import platform_services
from marketstream.launch.service import RestartPolicy, Service
from marketstream.launch.state import RunFolder
from marketstream.launch.supervisor import Labels, Supervisor
from marketstream.observability.logs import configure_logs
from marketstream.settings import METRICS_DIRECTORY_VARIABLE, Settings, load_settings

LOG_NAME = "supervisor"


def supervise(settings: Settings) -> None:
    """Runs the whole platform until told to stop; the feeds have been chosen before.

    Raises:
        LaunchError: Another supervisor runs on this data directory.
    """
    folder = RunFolder(settings.data_dir)
    feeds = remembered_feeds(settings.data_dir)
    with folder.locked():
        shutil.rmtree(folder.metrics, ignore_errors=True)  # of processes that no longer exist
        folder.metrics.mkdir(parents=True)
        labels = Labels(feed=describe_feeds(feeds), fingerprint=fingerprint(settings))
        asyncio.run(_run(platform_services(settings, feeds), folder, labels))


async def _run(services: Sequence[Service], folder: RunFolder, labels: Labels) -> None:
    supervisor = Supervisor(
        services, folder, environment=service_environment(folder), labels=labels, policy=RestartPolicy()
    )
    await supervisor.run(on_hangup=lambda: _redirect_output(folder))


def service_environment(folder: RunFolder) -> dict[str, str]:
    """Variables of every service."""
    return {
        **os.environ,
        "MARKETSTREAM_DATA_DIR": str(folder.data_dir),
        METRICS_DIRECTORY_VARIABLE: str(folder.metrics),
        "PYTHONUNBUFFERED": "1",
        MARKER: str(folder.data_dir),
    }


def fingerprint(settings: Settings) -> dict[str, str]:
    """Every setting by its variable's name; secrets by a digest, so that a change shows and they don't."""
    shown = _flatten(settings.model_dump(mode="json"))
    return {name: _digest(settings, name) if set(value) == {"*"} else value for name, value in shown.items()}


def _flatten(tree: Mapping[str, object], prefix: str = "MARKETSTREAM_") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name.upper()}__")
        else:
            flat[f"{prefix}{name.upper()}"] = str(value)
    return flat


def _digest(settings: Settings, name: str) -> str:
    value: object = settings
    for part in name.removeprefix("MARKETSTREAM_").lower().split("__"):
        value = getattr(value, part)
    secret: str = value.get_secret_value()  # type: ignore[attr-defined]  # only secrets are shown as asterisks
    return hashlib.sha256(secret.encode()).hexdigest()[:16]


def _redirect_output(folder: RunFolder) -> None:
    """Writing to a terminal that has gone fails, and stopping must not."""
    with open_log(log_path(folder.logs, LOG_NAME)) as log:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(log.fileno(), stream.fileno())


def main() -> None:
    """Supervises with the settings of the environment; its output is its log."""
    settings = load_settings()
    configure_logs(settings.log_level, settings.log_format)
    try:
        supervise(settings)
    except MarketstreamError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
