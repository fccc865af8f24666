"""Supervises the platform's processes: starts them in order of health, restarts what dies, stops them in reverse.

Everything lives in one thread, because the kernel ends a guarded child with the thread that started it.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from prometheus_client.multiprocess import mark_process_dead

from marketstream.domain.errors import LaunchError
from marketstream.launch.logfiles import bound, log_path
from marketstream.launch.service import RestartPolicy, Service, State
from marketstream.launch.state import PlatformState, RunFolder, ServiceState
from marketstream.launch.unit import Surroundings, Unit
from marketstream.observability.logs import get_logger

_log = get_logger("supervisor")

_LOG_CHECK_SECONDS = 10.0
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What the published state says beyond the services."""

    feed: str = ""
    fingerprint: Mapping[str, str] = field(default_factory=dict)


class Supervisor:
    """Runs services until told to stop.

    Args:
        services: What to run; their order is the order in which they are shown.
        folder: Where the state, the logs and the metrics go.
        environment: Variables of every service.
        labels: What else to publish.
        policy: When to restart.

    Raises:
        LaunchError: Two services share a name, or one waits for a service that isn't there or waits for it.
    """

    def __init__(
        self,
        services: Sequence[Service],
        folder: RunFolder,
        *,
        environment: Mapping[str, str],
        labels: Labels,
        policy: RestartPolicy,
    ) -> None:
        self._levels = start_levels(services)
        self._folder = folder
        self._labels = labels
        self._started_at = time.time()
        self._stop = asyncio.Event()
        self._units: dict[str, Unit] = {}
        around = Surroundings(folder.logs, environment, policy, self._changed, self._forget_metrics)
        self._units = {service.name: Unit(service, around) for service in services}

    async def run(self, on_hangup: Callable[[], None] = lambda: None) -> None:
        """Starts everything, keeps it running, and on SIGTERM, SIGINT or SIGHUP stops it and returns.

        Args:
            on_hangup: Called first when the terminal goes away, before anything is written to it.
        """
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(max_workers=len(self._units) + 4))
        for number in _STOP_SIGNALS:
            loop.add_signal_handler(number, self._told_to_stop, number, on_hangup)
        self._publish()
        tasks = {name: asyncio.create_task(self._start_in_turn(unit)) for name, unit in self._units.items()}
        housekeeping = asyncio.create_task(self._bound_logs())
        try:
            await self._stop.wait()
        finally:
            for task in (housekeeping, *tasks.values()):
                task.cancel()
            outcomes = await asyncio.gather(housekeeping, *tasks.values(), return_exceptions=True)
            await self._stop_all()
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
                raise outcome

    def _told_to_stop(self, number: int, on_hangup: Callable[[], None]) -> None:
        if number == signal.SIGHUP:
            on_hangup()
        _log.info("stopping", signal=signal.Signals(number).name)
        self._stop.set()

    async def _start_in_turn(self, unit: Unit) -> None:
        if unit.settled.is_set():
            return
        for name in unit.service.after:
            needed = self._units[name]
            await needed.settled.wait()
            if not needed.usable:
                unit.conclude(State.ABSENT, f"needs {name}, which is {needed.progress.state}")
                return
        try:
            await unit.run()
        except asyncio.CancelledError:
            raise
        except BaseException:  # a fault of the supervisor's own must end it, not leave a service unwatched
            self._stop.set()
            raise

    async def _stop_all(self) -> None:
        for level in reversed(self._levels):
            await asyncio.gather(*(self._units[name].stop() for name in level))
        _log.info("everything is stopped")

    async def _bound_logs(self) -> None:
        while True:
            await asyncio.sleep(_LOG_CHECK_SECONDS)
            for name in self._units:
                bound(log_path(self._folder.logs, name))

    def _changed(self, unit: Unit) -> None:
        progress = unit.progress
        if self._units:  # not while they are being made
            detail = {"restarts": progress.restarts} if progress.restarts else {}
            _log.info(unit.service.name, state=progress.state.value, reason=progress.reason, pid=progress.pid, **detail)
            self._publish()

    def _forget_metrics(self, pid: int) -> None:
        if self._folder.metrics.exists():
            mark_process_dead(pid, str(self._folder.metrics))  # type: ignore[no-untyped-call]  # untyped there

    def _publish(self) -> None:
        state = PlatformState(
            supervisor_pid=os.getpid(),
            started_at=self._started_at,
            feed=self._labels.feed,
            fingerprint=dict(self._labels.fingerprint),
            services=tuple(map(_published, self._units.values())),
        )
        self._folder.write(state)


def _published(unit: Unit) -> ServiceState:
    service, progress = unit.service, unit.progress
    return ServiceState(
        name=service.name,
        kind=service.kind,
        state=progress.state,
        reason=progress.reason,
        optional=service.optional,
        pid=progress.pid,
        since=progress.since,
        restarts=progress.restarts,
        restarted_at=progress.restarted_at,
        last_ending=progress.last_ending,
        ports=service.ports,
        address=service.address,
    )


def start_levels(services: Sequence[Service]) -> list[list[str]]:
    """Names in start order: each level waits only for levels before it.

    Raises:
        LaunchError: A name is used twice, or a service waits for one that isn't there, or in a circle.
    """
    waits = {service.name: set(service.after) for service in services}
    if len(waits) != len(services):
        raise LaunchError("two services share a name")
    for name, needed in waits.items():
        if needed - waits.keys():
            raise LaunchError(f"{name} waits for {', '.join(sorted(needed - waits.keys()))}, which is not there")
    levels: list[list[str]] = []
    while waits:
        level = [name for name, needed in waits.items() if not needed & waits.keys()]
        if not level:
            raise LaunchError(f"these wait for each other: {', '.join(sorted(waits))}")
        levels.append(level)
        for name in level:
            del waits[name]
    return levels
