"""What a job tells each kind of master, and what a worker of one's own has room for."""

import pytest

from marketstream.domain.errors import ConfigurationError
from marketstream.settings import load_settings
from marketstream.streaming import session
from marketstream.streaming.cluster import on_this_machine, worker_arguments
from marketstream.streaming.resources import RESOURCES
from marketstream.streaming.submit import submit_arguments, submit_environment

IMAGE = {"spark.kubernetes.container.image": "marketstream:1"}


@pytest.fixture(autouse=True)
def _jars(monkeypatch):
    monkeypatch.setattr(session, "connector_jars", lambda: ["/jars/connector.jar"])


def submitted(job, tmp_path, **streaming):
    """The master and the configuration that a job is submitted with."""
    arguments = submit_arguments(job, load_settings(data_dir=tmp_path, streaming=streaming))
    assert arguments[::2] == ["--master", *["--conf"] * (len(arguments) // 2 - 1)]
    master, *conf = arguments[1::2]
    return master, dict(part.split("=", 1) for part in conf)


def test_a_local_master_has_no_executors_to_be_told_of(tmp_path):
    _, conf = submitted("bars", tmp_path)
    assert not [name for name in conf if name.startswith(("spark.executor", "spark.cores", "spark.driver.host"))]


def test_a_standalone_cluster_of_one_s_own_is_reached_over_loopback(tmp_path):
    master, conf = submitted("bars", tmp_path, master="standalone")
    assert master == "spark://127.0.0.1:7077"
    assert conf["spark.cores.max"] == "5"  # four partitions of ticks and one of state, all at once
    assert (conf["spark.driver.host"], conf["spark.driver.bindAddress"]) == ("127.0.0.1", "127.0.0.1")
    assert conf["spark.executor.memory"] == "1024m"
    assert conf["spark.scheduler.minRegisteredResourcesRatio"] == "1.0"
    assert conf["spark.jars"] == "/jars/connector.jar"  # the driver serves it to the executors
    assert submitted("indicators", tmp_path, master="standalone")[1]["spark.cores.max"] == "1"


def test_another_machine_s_master_calls_the_driver_by_the_name_it_is_given(tmp_path):
    _, unnamed = submitted("bars", tmp_path, master="spark://far:7077")
    assert not unnamed.keys() & {"spark.driver.host", "spark.driver.bindAddress"}
    _, conf = submitted(
        "bars",
        tmp_path,
        master="spark://far:7077",
        driver_host="here.example",
        driver_bind_address="0.0.0.0",  # noqa: S104  # only compared
        executor_memory_mb=2_048,
    )
    assert (conf["spark.driver.host"], conf["spark.driver.bindAddress"]) == ("here.example", "0.0.0.0")  # noqa: S104  # as above
    assert conf["spark.executor.memory"] == "2048m"


def test_kubernetes_gets_one_executor_with_every_slot(tmp_path):
    master, conf = submitted(
        "bars",
        tmp_path,
        master="k8s://https://127.0.0.1:6443",
        driver_host="marketstream-bars",
        driver_bind_address="0.0.0.0",  # noqa: S104  # only compared
        spark_conf=IMAGE | {"spark.kubernetes.namespace": "market"},
    )
    assert master == "k8s://https://127.0.0.1:6443"
    assert (conf["spark.executor.instances"], conf["spark.executor.cores"]) == ("1", "5")
    assert conf["spark.kubernetes.executor.request.cores"] == "1"
    assert conf["spark.kubernetes.container.image"] == "marketstream:1"
    assert conf["spark.kubernetes.namespace"] == "market"
    assert "spark.cores.max" not in conf


def test_kubernetes_without_an_image_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"MARKETSTREAM_STREAMING__SPARK_CONF.*container\.image"):
        submitted("bars", tmp_path, master="k8s://https://127.0.0.1:6443")


def test_what_a_user_sets_wins(tmp_path):
    _, conf = submitted("indicators", tmp_path, master="standalone", spark_conf={"spark.cores.max": "9"})
    assert conf["spark.cores.max"] == "9"


@pytest.mark.parametrize(
    ("master", "here"),
    [
        ("local[4]", True),
        ("spark://127.0.0.1:7077", True),
        ("spark://localhost:7077", True),
        ("spark://[::1]:7077", True),
        ("spark://10.0.0.7:7077", False),
        ("spark://far:7077", False),
        ("k8s://https://10.0.0.7:6443", False),
    ],
)
def test_only_what_runs_on_this_machine_is_bound_to_loopback(master, here, tmp_path, monkeypatch):
    monkeypatch.delenv("SPARK_LOCAL_IP", raising=False)
    assert on_this_machine(master) is here
    environment = submit_environment(load_settings(data_dir=tmp_path, streaming={"master": master}))
    assert ("SPARK_LOCAL_IP" in environment) is here


def test_a_worker_has_room_for_every_job(tmp_path):
    settings = load_settings(data_dir=tmp_path, streaming={"master": "standalone"})
    options = worker_arguments(settings)
    told = dict(zip(options[:-1:2], options[1::2], strict=True))
    needed = [resources(settings) for resources in RESOURCES.values()]
    assert int(told["--cores"]) >= sum(job.slots for job in needed)
    assert told["--memory"] == f"{1_024 * len(needed)}m"
    assert told["--work-dir"].startswith(str(tmp_path))
    assert options[-1] == "spark://127.0.0.1:7077"


def test_a_worker_can_be_told_its_size(tmp_path):
    size = {"worker_slots": 3, "worker_memory_mb": 700}
    options = worker_arguments(load_settings(data_dir=tmp_path, streaming={"master": "spark://far:1"}, cluster=size))
    assert options[:4] == ["--cores", "3", "--memory", "700m"]


def test_a_worker_without_a_standalone_master_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="say `standalone`"):
        worker_arguments(load_settings(data_dir=tmp_path))
