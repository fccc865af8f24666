"""Asks every service how it is, now. Reads: `<data_dir>/run/state.json`, the services themselves, every group's lag."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psutil
from pydantic import BaseModel, ConfigDict, computed_field

from marketstream.bus.inspector import KafkaInspector
from marketstream.contracts.topics import TICKS
from marketstream.domain.errors import BusError
from marketstream.launch.daemon import fingerprint
from marketstream.launch.feeds import remembered_feeds
from marketstream.launch.leftovers import leftovers
from marketstream.launch.plan import platform_services
from marketstream.launch.servers.base import connection_fault
from marketstream.launch.service import Kind, Service, State
from marketstream.launch.state import PlatformState, RunFolder, ServiceState
from marketstream.settings import Settings

_MIB = 1024 * 1024


class ServiceStatus(BaseModel):
    """One service now. `health` is `ok`, what is wrong, or empty where there is nothing to ask."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: Kind
    state: State
    optional: bool
    health: str = ""
    reason: str = ""
    last_ending: str = ""
    restarts: int = 0
    last_restart_seconds_ago: float | None = None
    pid: int | None = None
    uptime_seconds: float | None = None
    memory_mb: float | None = None
    ports: tuple[int, ...] = ()
    address: str = ""
    lag: int | None = None

    @computed_field  # type: ignore[prop-decorator]  # as pydantic's documentation has it
    @property
    def well(self) -> bool:
        """Whether there is nothing to worry about: up and healthy, done, or known not to be here."""
        return self.state in (State.DONE, State.ABSENT) or (self.state is State.UP and self.health in ("", "ok"))


class PlatformStatus(BaseModel):
    """The platform now."""

    model_config = ConfigDict(frozen=True)

    running: bool
    supervisor_pid: int | None = None
    uptime_seconds: float | None = None
    feed: str = ""
    last_tick_age_seconds: float | None = None
    changed_settings: tuple[str, ...] = ()
    leftovers: tuple[int, ...] = ()
    services: tuple[ServiceStatus, ...] = ()

    @computed_field  # type: ignore[prop-decorator]  # as pydantic's documentation has it
    @property
    def well(self) -> bool:
        """Whether it runs and every service is well."""
        return self.running and all(service.well for service in self.services)


def platform_status(settings: Settings) -> PlatformStatus:
    """Asks everything at the same time; takes as long as the slowest answer, a few seconds at most."""
    folder = RunFolder(settings.data_dir)
    services = platform_services(settings, remembered_feeds(settings.data_dir))
    pid, state = folder.supervisor_pid(), folder.read()
    if pid is None or state is None:
        orphans = tuple(process.pid for process in leftovers(settings.data_dir))
        return PlatformStatus(running=False, leftovers=orphans, services=tuple(map(_down, services)))
    inspector = _inspector(settings)
    with ThreadPoolExecutor(max_workers=len(state.services) + 2) as pool:
        lags = pool.submit(_lags, inspector)
        age = pool.submit(_last_tick_age, inspector)
        plan = {service.name: service for service in services}
        statuses = pool.map(lambda known: _status(known, plan.get(known.name)), state.services)
        by_name = lags.result()
        return PlatformStatus(
            running=True,
            supervisor_pid=pid,
            uptime_seconds=time.time() - state.started_at,
            feed=state.feed,
            last_tick_age_seconds=age.result(),
            changed_settings=changed_settings(state, settings),
            services=tuple(_with_lag(status, by_name) for status in statuses),
        )


def changed_settings(state: PlatformState, settings: Settings) -> tuple[str, ...]:
    """Names of the settings that have changed since the platform was started."""
    now = fingerprint(settings)
    names = state.fingerprint.keys() | now.keys()
    return tuple(sorted(name for name in names if state.fingerprint.get(name) != now.get(name)))


def _down(service: Service) -> ServiceStatus:
    return ServiceStatus(
        name=service.name,
        kind=service.kind,
        state=State.DOWN if service.absent is None else State.ABSENT,
        optional=service.optional,
        reason=service.absent or "",
        ports=service.ports,
        address=service.address,
    )


def _status(known: ServiceState, service: Service | None) -> ServiceStatus:
    now = time.time()
    return ServiceStatus(
        name=known.name,
        kind=known.kind,
        state=known.state,
        optional=known.optional,
        health=_health(known, service),
        reason=known.reason,
        last_ending=known.last_ending,
        restarts=known.restarts,
        last_restart_seconds_ago=now - known.restarted_at if known.restarted_at else None,
        pid=known.pid,
        uptime_seconds=now - known.since if known.state is State.UP else None,
        memory_mb=_memory_mb(known.pid) if known.pid else None,
        ports=known.ports,
        address=known.address,
    )


def _health(known: ServiceState, service: Service | None) -> str:
    if known.state is not State.UP or known.pid is None:
        return ""
    if not _lives(known.pid):
        return "its process has gone"
    if service is None or service.fault is None:
        return ""
    return service.fault() or "ok"


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _memory_mb(pid: int) -> float | None:
    """Of the process and all that it started, shared pages counted once."""
    total = 0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for member in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                memory = member.memory_full_info()
                total += getattr(memory, "pss", memory.rss)
    return total / _MIB if total else None


def _lags(inspector: KafkaInspector | None) -> Mapping[str, int]:
    try:
        return inspector.lag_by_group() if inspector else {}
    except BusError:
        return {}  # Kafka's own line says that it is away


def _last_tick_age(inspector: KafkaInspector | None) -> float | None:
    try:
        newest_ms = inspector.newest_message_ms(TICKS) if inspector else None
    except BusError:
        return None  # as above
    return None if newest_ms is None else max(0.0, time.time() - newest_ms / 1_000)


def _inspector(settings: Settings) -> KafkaInspector | None:
    """None where nothing listens, which is quicker told than waited for."""
    if connection_fault(settings.kafka.port) is not None:
        return None
    return KafkaInspector(settings.kafka.bootstrap_servers)


def _with_lag(status: ServiceStatus, lags: Mapping[str, int]) -> ServiceStatus:
    return status.model_copy(update={"lag": lags[status.name]}) if status.name in lags else status


def first_to_open(services: Sequence[ServiceStatus]) -> list[tuple[str, str]]:
    """What a person opens first, of what runs: title and address."""
    titles = {"dashboard": "Charts", "api": "REST, with its documentation", "grafana": "Grafana"}
    addresses = {service.name: service.address for service in services if service.state is State.UP}
    return [(title, addresses[name]) for name, title in titles.items() if name in addresses]
