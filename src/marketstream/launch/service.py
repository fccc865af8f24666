"""What the supervisor is told about a service, and the states one can be in."""

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class State(StrEnum):
    """Where a service is in its life."""

    WAITING = "waiting"
    STARTING = "starting"
    UP = "up"
    DONE = "done"
    RESTARTING = "restarting"
    FAILED = "failed"
    ABSENT = "absent"
    STOPPING = "stopping"
    DOWN = "down"


SETTLED = frozenset({State.UP, State.DONE, State.ABSENT})


class Kind(StrEnum):
    """What part a service plays."""

    STEP = "step"
    SERVER = "server"
    PROCESS = "process"
    OBSERVABILITY = "observability"


def _nothing() -> None:
    return None


def _no_environment() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One supervised process, or one step that runs to its end.

    Attributes:
        name: Unique; names the log file too.
        kind: Its part. A `STEP` runs once to its end; everything else is restarted whenever it ends.
        command: Gives the command line, asked at every start, after `prepare`; a step that gives none is done then.
        environment: Gives variables beyond the supervisor's own, asked with `command`.
        after: Services that have to be healthy, or steps done, before this one starts the first time.
        absent: Why it can't be had on this machine and how to change that; None for one that can.
        optional: Whether the platform is of use without it.
        prepare: Runs before every start; raises a `MarketstreamError` when it can't.
        fault: Asks the service itself; None means healthy. Without it, staying alive for a moment is all there is.
        after_start: Runs once it is healthy, before its dependents start.
        ports: Ports it listens on.
        address: What a person opens or connects to.
        run_as: See `guard.guarded`.
    """

    name: str
    kind: Kind
    command: Callable[[], list[str]] = list
    environment: Callable[[], Mapping[str, str]] = _no_environment
    after: tuple[str, ...] = ()
    absent: str | None = None
    optional: bool = False
    prepare: Callable[[], None] = _nothing
    fault: Callable[[], str | None] | None = None
    after_start: Callable[[], None] = _nothing
    ports: tuple[int, ...] = ()
    address: str = ""
    run_as: Callable[[], str] = field(default=lambda: "self")
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    grace_seconds: float = 15.0
    start_seconds: float = 90.0


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How long to wait before a restart: doubling, and anew after a life of `reset_after_seconds`."""

    initial_seconds: float = 0.5
    max_seconds: float = 30.0
    reset_after_seconds: float = 60.0
    step_attempts: int = 3
    settle_seconds: float = 1.5

    def delay(self, consecutive_failures: int) -> float:
        """Seconds before the next start, after this many failures in a row (at least one)."""
        exponent = min(consecutive_failures - 1, 30)  # beyond that the limit has long been reached
        return min(self.max_seconds, self.initial_seconds * 2.0**exponent)
