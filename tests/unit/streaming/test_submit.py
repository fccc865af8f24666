"""Where a Spark job that a person starts leaves its metrics."""

import pytest

from marketstream.launch.state import RunFolder
from marketstream.settings import METRICS_DIRECTORY_VARIABLE, load_settings
from marketstream.streaming.submit import metrics_environment


@pytest.fixture(autouse=True)
def _nobody_has_said_where(monkeypatch):
    monkeypatch.delenv(METRICS_DIRECTORY_VARIABLE, raising=False)


@pytest.fixture
def served(tmp_path):
    """The folder that a platform's metrics process serves."""
    folder = RunFolder(tmp_path).metrics
    folder.mkdir(parents=True)
    return folder


def test_a_job_that_stays_is_served_with_the_platform_on_its_data_directory(served, tmp_path, monkeypatch):
    expected = {METRICS_DIRECTORY_VARIABLE: str(served)}
    assert metrics_environment("archive", load_settings(data_dir=tmp_path), []) == expected
    monkeypatch.chdir(tmp_path.parent)
    assert metrics_environment("archive", load_settings(data_dir=tmp_path.name), []) == expected


@pytest.mark.usefixtures("served")
def test_a_job_that_ends_by_itself_leaves_nothing(tmp_path):
    settings = load_settings(data_dir=tmp_path)
    assert metrics_environment("archive", settings, ["--once"]) == {}
    assert metrics_environment("rebuild", settings, ["--from", "2026-01-30"]) == {}


def test_without_a_platform_there_is_no_such_place(tmp_path):
    assert metrics_environment("archive", load_settings(data_dir=tmp_path), []) == {}


@pytest.mark.usefixtures("served")
def test_what_is_said_otherwise_stays(tmp_path, monkeypatch):
    own = load_settings(data_dir=tmp_path, serving={"metrics_per_process": True})
    assert metrics_environment("archive", own, []) == {}
    monkeypatch.setenv(METRICS_DIRECTORY_VARIABLE, "/elsewhere")
    assert metrics_environment("archive", load_settings(data_dir=tmp_path), []) == {}
