from pathlib import Path

import pytest

from marketstream.settings import load_settings
from marketstream.streaming import session
from marketstream.streaming.resources import RESOURCES
from marketstream.streaming.submit import submit_arguments

ROOT = Path(__file__).parents[3]


def test_every_job_has_resources_and_every_resource_a_job():
    assert RESOURCES.keys() == {path.stem for path in (ROOT / "spark_jobs").glob("*.py")}


@pytest.mark.parametrize(("job", "port", "memory"), [("bars", "4040", "1024m"), ("indicators", "4041", "512m")])
def test_each_job_is_submitted_with_its_own(job, port, memory, monkeypatch, tmp_path):
    monkeypatch.setattr(session, "connector_jars", lambda: ["connector.jar"])
    master, *conf = submit_arguments(job, load_settings(data_dir=tmp_path))[1::2]
    settings = dict(part.split("=", 1) for part in conf)
    assert master.startswith("local[")
    assert (settings["spark.ui.port"], settings["spark.driver.memory"]) == (port, memory)
    assert any("RocksDB" in value for value in settings.values()) is (job == "indicators")
