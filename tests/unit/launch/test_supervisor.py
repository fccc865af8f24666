"""The supervisor with tiny real processes."""

import asyncio
import itertools
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from marketstream.domain.errors import LaunchError
from marketstream.launch.logfiles import log_path
from marketstream.launch.service import Kind, RestartPolicy, Service, State
from marketstream.launch.state import RunFolder, ServiceState
from marketstream.launch.supervisor import Labels, Supervisor, start_levels

QUICK = RestartPolicy(initial_seconds=0.05, max_seconds=0.4, reset_after_seconds=30, settle_seconds=0.05)
LIMIT_SECONDS = 20.0


def python(code: str) -> Callable[[], list[str]]:
    return lambda: [sys.executable, "-I", "-S", "-c", textwrap.dedent(code)]


def sleeper(name: str, **options: object) -> Service:
    return Service(name=name, kind=Kind.PROCESS, command=lambda: ["sleep", "600"], **options)  # type: ignore[arg-type]  # passes any field on


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


@asynccontextmanager
async def supervised(folder: RunFolder, *services: Service, policy: RestartPolicy = QUICK) -> AsyncIterator[None]:
    supervisor = Supervisor(services, folder, environment=dict(os.environ), labels=Labels(), policy=policy)
    task = asyncio.create_task(supervisor.run())
    try:
        yield
    finally:
        supervisor._told_to_stop(signal.SIGTERM, lambda: None)
        await asyncio.wait_for(task, LIMIT_SECONDS)


def published(folder: RunFolder, name: str) -> ServiceState:
    state = folder.read()
    assert state is not None
    return next(service for service in state.services if service.name == name)


async def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it didn't happen in time"
        await asyncio.sleep(0.02)


async def until(folder: RunFolder, name: str, state: State) -> ServiceState:
    await eventually(lambda: folder.state_file.exists() and published(folder, name).state is state)
    return published(folder, name)


async def test_what_dies_is_restarted_and_counted(folder: RunFolder) -> None:
    async with supervised(folder, sleeper("steady")):
        first = await until(folder, "steady", State.UP)
        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)
        await eventually(lambda: published(folder, "steady").restarts == 1)
        second = await until(folder, "steady", State.UP)
        assert second.pid not in (None, first.pid)
        assert "SIGKILL" in second.last_ending
    assert published(folder, "steady").state is State.DOWN
    assert second.pid is not None
    assert not psutil.pid_exists(second.pid)


async def test_restarts_back_off(folder: RunFolder, tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    code = f"import time; open({str(starts)!r}, 'a').write(f'{{time.monotonic()}}\\n'); raise SystemExit(3)"
    service = Service(name="crashing", kind=Kind.PROCESS, command=python(code))
    async with supervised(folder, service):
        await eventually(lambda: starts.exists() and len(starts.read_text().splitlines()) >= 5)
        assert "exit code 3" in published(folder, "crashing").last_ending
    times = [float(line) for line in starts.read_text().splitlines()]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps[1] >= 2 * QUICK.initial_seconds
    assert gaps[2] >= 4 * QUICK.initial_seconds


def test_delays_double_up_to_the_limit() -> None:
    policy = RestartPolicy(initial_seconds=0.5, max_seconds=30)
    assert [policy.delay(count) for count in (1, 2, 3, 7, 1_000)] == [0.5, 1.0, 2.0, 30.0, 30.0]


async def test_dependents_wait_for_health(folder: RunFolder, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    slow = sleeper("slow", fault=lambda: None if gate.exists() else "the gate is closed")
    async with supervised(folder, sleeper("eager", after=("slow",)), slow):
        await until(folder, "slow", State.STARTING)
        assert published(folder, "eager").state is State.WAITING
        gate.touch()
        await until(folder, "eager", State.UP)


async def test_what_never_gets_healthy_is_restarted_with_its_reason(folder: RunFolder) -> None:
    async with supervised(folder, sleeper("sick", fault=lambda: "no pulse", start_seconds=0.1)):
        await eventually(lambda: folder.state_file.exists() and published(folder, "sick").restarts >= 2)
        assert "no pulse" in published(folder, "sick").last_ending


async def test_steps_run_once_and_their_failure_is_final(folder: RunFolder, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    write = f"open({str(trace)!r}, 'a').write('x')"
    good = Service(name="good", kind=Kind.STEP, command=python(write))
    bad = Service(name="bad", kind=Kind.STEP, command=python("import sys; sys.exit('no such table')"))
    async with supervised(folder, good, bad, sleeper("happy", after=("good",)), sleeper("sad", after=("bad",))):
        await until(folder, "happy", State.UP)
        failed = await until(folder, "bad", State.FAILED)
        assert "no such table" in failed.reason
        assert "bad" in (await until(folder, "sad", State.ABSENT)).reason
        assert trace.read_text() == "x"


async def test_absent_services_take_only_their_dependents_along(folder: RunFolder) -> None:
    gone = Service(name="gone", kind=Kind.SERVER, absent="install it", optional=True)
    async with supervised(folder, gone, sleeper("needy", after=("gone",)), sleeper("free")):
        await until(folder, "free", State.UP)
        assert (await until(folder, "needy", State.ABSENT)).reason == "needs gone, which is absent"
        assert published(folder, "gone").reason == "install it"


async def test_stops_in_reverse_order(folder: RunFolder, tmp_path: Path) -> None:
    trace = tmp_path / "trace"

    def recorder(name: str, after: tuple[str, ...] = ()) -> Service:
        code = f"""
            import signal, sys, time
            def leave(*_):
                open({str(trace)!r}, 'a').write({name + " "!r})
                sys.exit(0)
            signal.signal(signal.SIGTERM, leave)
            open({str(tmp_path / name)!r}, 'w')
            time.sleep(600)
        """
        ready = tmp_path / name
        fault = lambda: None if ready.exists() else "not ready"  # noqa: E731  # shortest way to close over `ready`
        return Service(name=name, kind=Kind.PROCESS, command=python(code), after=after, fault=fault)

    async with supervised(folder, recorder("a"), recorder("b", ("a",)), recorder("c", ("b",))):
        await until(folder, "c", State.UP)
    assert trace.read_text().split() == ["c", "b", "a"]


async def test_stopping_ends_whole_groups_and_the_deaf(folder: RunFolder, tmp_path: Path) -> None:
    child_file = tmp_path / "child"
    code = f"""
        import os, signal, subprocess, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen(['sleep', '600'])
        open({str(child_file)!r}, 'w').write(f'{{child.pid}}\\n')
        time.sleep(600)
    """
    deaf = Service(name="deaf", kind=Kind.PROCESS, command=python(code), grace_seconds=0.3)
    async with supervised(folder, deaf):
        await eventually(lambda: child_file.exists() and child_file.read_text().endswith("\n"))
        child = int(child_file.read_text())
        parent = published(folder, "deaf").pid
        assert psutil.pid_exists(child)
    await eventually(lambda: _gone(child))
    assert parent is not None
    assert _gone(parent)


async def test_stopping_while_starting_leaves_nothing(folder: RunFolder) -> None:
    async with supervised(folder, sleeper("slow", fault=lambda: "not yet")):
        await eventually(lambda: folder.state_file.exists() and published(folder, "slow").pid is not None)
        pid = published(folder, "slow").pid
    assert pid is not None
    assert _gone(pid)


SUPERVISOR_PROGRAM = """
import asyncio, os, sys
from pathlib import Path
from marketstream.launch.service import Kind, RestartPolicy, Service
from marketstream.launch.state import RunFolder
from marketstream.launch.supervisor import Labels, Supervisor

folder = RunFolder(Path(sys.argv[1]))
services = [Service(name=name, kind=Kind.PROCESS, command=lambda: ["sleep", "600"]) for name in ("a", "b")]
with folder.locked():
    supervisor = Supervisor(services, folder, environment=dict(os.environ), labels=Labels(), policy=RestartPolicy())
    asyncio.run(supervisor.run())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_children_die_with_the_supervisor(folder: RunFolder, number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", SUPERVISOR_PROGRAM, str(folder.data_dir)]) as supervisor:  # noqa: ASYNC220  # starting takes no time
        try:
            await until(folder, "a", State.UP)
            await until(folder, "b", State.UP)
            assert folder.supervisor_pid() == supervisor.pid
            pids = [published(folder, name).pid for name in ("a", "b")]
            supervisor.send_signal(number)
            await eventually(lambda: supervisor.poll() is not None)
        finally:
            supervisor.kill()
    for pid in pids:
        assert pid is not None
        await eventually(lambda pid=pid: _gone(pid))
    assert folder.supervisor_pid() is None


def _gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_output_goes_to_the_log(folder: RunFolder) -> None:
    service = Service(name="talker", kind=Kind.STEP, command=python("print('hello')"))
    async with supervised(folder, service):
        await until(folder, "talker", State.DONE)
    assert log_path(folder.logs, "talker").read_text() == "hello\n"


def test_a_second_supervisor_is_refused(folder: RunFolder) -> None:
    with folder.locked():
        assert folder.supervisor_pid() == os.getpid()
        with pytest.raises(LaunchError, match="already runs"), folder.locked():
            pass
    assert folder.supervisor_pid() is None


def test_start_levels_follow_dependencies() -> None:
    services = [sleeper("c", after=("a", "b")), sleeper("a"), sleeper("b", after=("a",))]
    assert start_levels(services) == [["a"], ["b"], ["c"]]


@pytest.mark.parametrize(
    ("services", "complaint"),
    [
        ([sleeper("a"), sleeper("a")], "share a name"),
        ([sleeper("a", after=("z",))], "a waits for z"),
        ([sleeper("a", after=("b",)), sleeper("b", after=("a",))], "wait for each other: a, b"),
    ],
)
def test_impossible_orders_are_refused(services: list[Service], complaint: str) -> None:
    with pytest.raises(LaunchError, match=complaint):
        start_levels(services)


def test_ports_of_a_service_are_published(folder: RunFolder) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]

    async def scenario() -> None:
        async with supervised(folder, sleeper("listening", ports=(port,), address=f"127.0.0.1:{port}")):
            await until(folder, "listening", State.UP)

    asyncio.run(scenario())
    assert published(folder, "listening").ports == (port,)
