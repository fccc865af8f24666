"""One service under supervision: starts it when its turn comes, watches it, restarts it, ends it."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from marketstream.domain.errors import MarketstreamError
from marketstream.launch.guard import guarded
from marketstream.launch.logfiles import log_path, open_log, tail
from marketstream.launch.service import Kind, RestartPolicy, Service, State

_POLL_SECONDS = 0.1
_WORDS = 200


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every unit of one supervisor shares."""

    logs: Path
    environment: Mapping[str, str]
    policy: RestartPolicy
    changed: Callable[["Unit"], None]
    ended: Callable[[int], None]


@dataclass(slots=True)
class Progress:
    """What is known about a unit now; the supervisor publishes it."""

    state: State = State.WAITING
    reason: str = ""
    pid: int | None = None
    since: float = field(default_factory=time.time)
    restarts: int = 0
    restarted_at: float | None = None
    last_ending: str = ""


class Unit:
    """A service and its process. Use `run` as a task; `stop` ends both."""

    def __init__(self, service: Service, surroundings: Surroundings) -> None:
        self.service = service
        self.progress = Progress()
        self.settled = asyncio.Event()  # healthy, done, absent or given up: dependents need not wait any longer
        self._around = surroundings
        self._process: subprocess.Popen[bytes] | None = None
        self._failures = 0
        if service.absent is not None:
            self.conclude(State.ABSENT, service.absent)

    @property
    def usable(self) -> bool:
        """Whether dependents may start."""
        return self.settled.is_set() and self.progress.state not in (State.ABSENT, State.FAILED)

    def conclude(self, state: State, reason: str = "") -> None:
        """Enters a state that lets dependents decide."""
        self._enter(state, reason)
        self.settled.set()

    async def run(self) -> None:
        """Keeps the service running until cancelled; returns for a step that is done or given up."""
        while True:
            began = time.monotonic()
            ending = await self._live_once()
            if ending is None:
                self.conclude(State.DONE)
                return
            lived = time.monotonic() - began
            self._failures = 1 if lived > self._around.policy.reset_after_seconds else self._failures + 1
            if self.service.kind is Kind.STEP and self._failures >= self._around.policy.step_attempts:
                self.conclude(State.FAILED, ending)
                return
            self.progress.restarts += 1
            self.progress.restarted_at = time.time()
            self.progress.last_ending = ending
            self._enter(State.RESTARTING, ending)
            await asyncio.sleep(self._around.policy.delay(self._failures))

    async def stop(self) -> None:
        """Asks the process to end, and after its grace ends the whole group by force."""
        process = self._process
        if process is not None:
            self._enter(State.STOPPING)
            if process.poll() is None:
                process.send_signal(self.service.stop_signal)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending(process), self.service.grace_seconds)
            await self._end_group(process)
        if self.progress.state is not State.ABSENT:
            self._enter(State.DOWN)

    async def _live_once(self) -> str | None:
        """One life, from start to end: None when a step succeeded, else how it ended."""
        self._enter(State.STARTING)
        try:
            await asyncio.to_thread(self.service.prepare)
            command = self.service.command()
            if not command:
                return None
            process = self._spawn(command)
        except (MarketstreamError, OSError) as error:
            return str(error)
        try:
            if self.service.kind is Kind.STEP:
                return await self._step(process)
            fault = await self._become_healthy(process)
            if fault is not None:
                return fault
            self.conclude(State.UP)
            return await self._ending(process)
        finally:
            if not _cancelled():
                await self._end_group(process)

    async def _step(self, process: subprocess.Popen[bytes]) -> str | None:
        ending = await self._ending(process)
        return None if process.returncode == 0 else ending

    async def _become_healthy(self, process: subprocess.Popen[bytes]) -> str | None:
        """None once it answers, else why it didn't in time."""
        began = time.monotonic()
        fault = await self._fault()
        while fault is not None:
            if process.poll() is not None:
                return await self._ending(process)
            waited = time.monotonic() - began
            if waited > self.service.start_seconds:
                return f"not healthy after {self.service.start_seconds:g} s: {fault}"
            # What takes long to start is asked less often: the answers cost it time.
            await asyncio.sleep(min(1.0, max(_POLL_SECONDS, waited / 20)))
            fault = await self._fault()
        try:
            await asyncio.to_thread(self.service.after_start)
        except MarketstreamError as error:
            return str(error)
        return None if process.poll() is None else await self._ending(process)

    async def _fault(self) -> str | None:
        if self.service.fault is not None:
            return await asyncio.to_thread(self.service.fault)
        await asyncio.sleep(self._around.policy.settle_seconds)
        return None

    async def _ending(self, process: subprocess.Popen[bytes]) -> str:
        while process.poll() is None:  # noqa: ASYNC110  # a child's end sets no event
            await asyncio.sleep(_POLL_SECONDS)
        code = process.returncode
        if code <= 0:
            return f"ended by {describe_exit(code)}"
        last = tail(log_path(self._around.logs, self.service.name), 1)  # one that failed by itself has said why
        return f"ended by {describe_exit(code)}" + (f": {last[0].strip()[:_WORDS]}" if last else "")

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        service = self.service
        command = guarded(command, death_signal=service.death_signal, run_as=service.run_as())
        with open_log(log_path(self._around.logs, service.name)) as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**self._around.environment, **service.environment()},
                start_new_session=True,
            )
        self._process = process
        self.progress.pid = process.pid
        self._enter(State.STARTING)
        return process

    async def _end_group(self, process: subprocess.Popen[bytes]) -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await self._ending(process)
        self._around.ended(process.pid)
        self._process = None
        self.progress.pid = None

    def _enter(self, state: State, reason: str = "") -> None:
        if state is not self.progress.state:
            self.progress.since = time.time()
        self.progress.state = state
        self.progress.reason = reason
        self._around.changed(self)


def _cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def describe_exit(code: int) -> str:
    """A return code in words: the signal's name, or the number."""
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
