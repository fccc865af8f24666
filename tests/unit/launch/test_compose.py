"""Where containers are used, and where not; a stand-in for the engine's command answers."""

from pathlib import Path

import pytest

from marketstream.domain.errors import LaunchError
from marketstream.launch.compose import compose_status, uses_compose
from marketstream.settings import load_settings


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `docker` that writes down what it is asked; its `info` answers while `<folder>/answers` exists."""
    program = tmp_path / "docker"
    program.write_text(
        f'#!/bin/sh\necho "$@" >> "{tmp_path}/asked"\n'
        f'if [ "$1" = info ]; then [ -e "{tmp_path}/answers" ] || exit 1; echo 28.0; fi\n'
    )
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path


@pytest.mark.parametrize(
    ("launch", "answers", "expected"),
    [("auto", True, True), ("auto", False, False), ("native", True, False), ("compose", True, True)],
)
def test_the_choice(engine: Path, launch: str, answers: bool, expected: bool) -> None:
    if answers:
        (engine / "answers").touch()
    assert uses_compose(load_settings(launch=launch)) is expected


@pytest.mark.usefixtures("engine")
def test_containers_without_an_engine_are_refused() -> None:
    with pytest.raises(LaunchError, match="docker info"):
        uses_compose(load_settings(launch="compose"))


def test_no_engine_on_the_path_means_native(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert uses_compose(load_settings(launch="auto")) is False


def test_compose_is_asked_for_its_view(engine: Path) -> None:
    assert compose_status(as_json=True) == 0
    assert (engine / "asked").read_text() == "compose ps --all --format json\n"
