"""Prometheus, Alertmanager and Grafana: their files are valid, what they ask for exists, every alert is explained."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.metrics import MetricWrapperBase

from grafana_queries import every_query, loaded
from marketstream.bus.inspector import KafkaInspector
from marketstream.bus.probes import kafka_probes
from marketstream.observability import exporter, metrics
from marketstream.observability.exporter import disk_probes
from marketstream.settings import load_settings
from marketstream.storage.probes import store_probes

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "infra" / "prometheus"
ALERTMANAGER = ROOT / "infra" / "alertmanager" / "alertmanager.yml"
RULES = [rule for group in yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"] for rule in group["rules"]]
RECORDED = [
    rule for group in yaml.safe_load((PROMETHEUS / "recording.yml").read_text())["groups"] for rule in group["rules"]
]
RULE_TESTS = yaml.safe_load((PROMETHEUS / "rules.test.yml").read_text())["tests"]
RUNBOOK = ROOT / "docs" / "how-to" / "runbook.md"
LOADED = loaded()
# Of other programs: the JMX agent, Alertmanager, InfluxDB, Prometheus. tests/e2e/test_dashboards.py asks for them.
OTHERS = re.compile(r"(jvm|process|jmx|alertmanager|http_api|storage|go_memstats)_\w+|ALERTS|up")


def existing() -> set[str]:
    """Every series name that some process of the platform, or the broker's agent, can show."""
    registry = CollectorRegistry()
    for value in vars(metrics).values():
        if isinstance(value, MetricWrapperBase):
            registry.register(value)
    names = {exporter.PROBE_SUCCESS, *(rule["record"] for rule in RECORDED)}
    for family in registry.collect():
        names |= series_of(family)
    settings = load_settings()
    inspector = KafkaInspector(settings.kafka.bootstrap_servers)
    probes = (*kafka_probes(inspector, ()), *store_probes(settings, ()), *disk_probes(ROOT))
    names |= {probe.name for probe in probes}
    for part in ("kafka", "spark"):
        agent = yaml.safe_load((ROOT / "infra" / part / "jmx-exporter.yml").read_text())
        names |= {rule["name"] for rule in agent["rules"]}
    lowered = {f"spark_scheduler_{name}" for name in ("activejobs", "runningstages", "waitingstages", "failedstages")}
    return names | lowered  # the rule that names them takes the name from the bean


def series_of(family: Metric) -> set[str]:
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
    return {family.name + suffix for suffix in suffixes}


def asked(expression: str) -> set[str]:
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(by|on|without|group_left) \([^)]*\)', "", expression)
    words = set(re.findall(r"[a-zA-Z_:][\w:]*(?![\w:]*\s*\()", bare)) - {
        "and",
        "or",
        "unless",
        "offset",
        "by",
        "on",
        "time",
    }
    words -= {"group_left", "d", "h", "m", "s"}
    return {word for word in words if "_" in word or ":" in word or word in ("up", "ALERTS")}


def panels() -> list[tuple[str, dict[str, Any]]]:
    shown = [(name, panel) for name, board in LOADED.items() for panel in board["panels"]]
    return [(name, panel) for name, panel in shown if panel["type"] != "row"]


def expressions() -> list[str]:
    from_rules = [rule["expr"] for rule in (*RULES, *RECORDED)]
    from_boards = [query.fields["expr"] for query in every_query() if "expr" in query.fields]
    from_choices = [query.fields["label_values"] for query in every_query() if "label_values" in query.fields]
    return from_rules + from_boards + [f"sum({choice[13:].rpartition(',')[0]})" for choice in from_choices]


def test_every_metric_asked_for_exists() -> None:
    known = existing()
    for expression in expressions():
        wanted = asked(expression)
        assert wanted or expression == "vector(1)", f"no metric in {expression}"
        assert {name for name in wanted if not OTHERS.fullmatch(name)} <= known, expression


def test_every_metric_of_the_platform_is_looked_at() -> None:
    everything = {name for expression in expressions() for name in asked(expression)}
    ours = {name for name in existing() if name.startswith("marketstream_")}
    parts = re.compile(r"_(bucket|sum|count)$")
    seen = {parts.sub("", name) for name in everything}
    assert {name for name in ours if parts.sub("", name) not in seen} == set()


def test_names_keep_prometheus_conventions() -> None:
    units = ("_seconds", "_bytes", "_total", "_ratio", "_messages", "_updates", "_entries")
    for value in vars(metrics).values():
        if isinstance(value, MetricWrapperBase):
            for family in value.collect():
                assert family.name.startswith("marketstream_")
                assert not re.search(r"_(ms|milliseconds|minutes|kb|mb)$", family.name)
                assert family.type != "histogram" or family.name.endswith(units), family.name


def test_every_alert_says_how_grave_it_is_and_what_to_do() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        graves = ("none",) if rule["alert"] == "Watchdog" else ("warning", "critical")
        assert rule["labels"]["severity"] in graves
        assert rule["annotations"].keys() == {"runbook", "summary", "action"}


def test_every_alert_has_its_section_in_the_runbook_and_links_to_it() -> None:
    text = RUNBOOK.read_text()
    sections = dict(re.findall(r"^### (\w+)\n\*(\w+)\* ·", text, re.MULTILINE))
    assert sections == {rule["alert"]: rule["labels"]["severity"] for rule in RULES}
    for rule in RULES:
        assert rule["annotations"]["runbook"] == f"{RUNBOOK.relative_to(ROOT)}#{rule['alert'].lower()}"


def test_every_alert_is_shown_to_fire() -> None:
    fired = {
        case["alertname"] for test in RULE_TESTS for case in test.get("alert_rule_test", ()) if case.get("exp_alerts")
    }
    assert fired == {rule["alert"] for rule in RULES}


def test_dashboards_are_what_the_generator_says() -> None:
    command = [sys.executable, "-m", "grafana.generator", "--check"]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, f"{outcome.stderr}run `python -m grafana.generator`"


def test_dashboards_are_of_one_kind() -> None:
    assert LOADED.keys() == {"system", "feeds", "kafka", "streaming", "databases", "serving", "market", "alerts"}
    for name, board in LOADED.items():
        assert board["uid"] == f"marketstream-{name}"
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids) > 0
        assert not board["editable"]
        assert [mark["name"] for mark in board["annotations"]["list"]] == ["Feed events", "Alerts"]
        assert board["links"][0]["tags"] == board["tags"] == ["marketstream"]


def test_every_axis_has_a_unit_and_a_name() -> None:
    for name, panel in panels():
        where = f"{name}: {panel['title']}"
        if panel["type"] in ("timeseries", "stat", "candlestick"):
            assert panel["fieldConfig"]["defaults"]["unit"], where
        if panel["type"] in ("timeseries", "candlestick"):
            assert panel["fieldConfig"]["defaults"]["custom"]["axisLabel"], where


def test_links_lead_to_dashboards_that_are_there() -> None:
    targets = [url for board in LOADED.values() for url in re.findall(r"/d/marketstream-(\w+)", str(board))]
    assert targets
    assert set(targets) <= LOADED.keys()


def test_every_variable_is_used() -> None:
    for name, board in LOADED.items():
        for variable in board["templating"]["list"]:
            used = [
                q for q in every_query() if q.name.startswith(f"{name} /") and f"${variable['name']}" in str(q.fields)
            ]
            assert used, f"{name}: ${variable['name']}"


def test_panels_do_not_overlap() -> None:
    for dashboard in LOADED.values():
        covered: set[tuple[int, int]] = set()
        for panel in dashboard["panels"]:
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= 24
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert not covered & cells, panel["title"]
            covered |= cells


def test_every_source_named_is_provisioned() -> None:
    provisioned = yaml.safe_load((ROOT / "grafana/provisioning/datasources/marketstream.yml").read_text())
    sources = {(source["uid"], source["type"]) for source in provisioned["datasources"]}
    for name, panel in panels():
        for part in (panel, *panel.get("targets", ())):
            assert (part["datasource"]["uid"], part["datasource"]["type"]) in sources, f"{name}: {panel['title']}"
    secrets = [value for source in provisioned["datasources"] for value in source.get("secureJsonData", {}).values()]
    assert len(secrets) == 2
    assert all(value.startswith("$") for value in secrets)


def test_grafana_is_given_every_variable_its_files_use() -> None:
    text = "".join(path.read_text() for path in (ROOT / "grafana" / "provisioning").rglob("*.yml"))
    given = yaml.safe_load((ROOT / "infra/docker/observability.yml").read_text())["services"]["grafana"]["environment"]
    assert set(re.findall(r"\$([A-Z][A-Z_]+)", text)) <= given.keys()


def checked(*command: str) -> str:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return outcome.stdout


def test_prometheus_accepts_its_files() -> None:
    out = checked("promtool", "check", "config", *map(str, sorted(PROMETHEUS.glob("prometheus*.yml"))))
    assert out.count("is valid prometheus config file") == 2


def test_alerts_fire_when_they_should() -> None:
    assert "SUCCESS" in checked("promtool", "test", "rules", str(PROMETHEUS / "rules.test.yml"))


def test_alertmanager_accepts_its_file() -> None:
    assert "SUCCESS" in checked("amtool", "check-config", str(ALERTMANAGER))


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (("alertname=NoTicks", "severity=critical"), "critical"),
        (("alertname=ConsumerLag", "severity=warning", "group=redis-writer"), "warnings"),
        (("alertname=Watchdog", "severity=none"), "watchdog"),
        (("alertname=SomethingNew",), "warnings"),
    ],
)
def test_alerts_go_to_their_receiver(labels: tuple[str, ...], receiver: str) -> None:
    command = ("amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}")
    assert checked(*command, *labels).split() == [receiver]


def test_what_is_inhibited_exists() -> None:
    alerts = {rule["alert"] for rule in RULES}
    for rule in yaml.safe_load(ALERTMANAGER.read_text())["inhibit_rules"]:
        matchers = (*rule["source_matchers"], *rule["target_matchers"])
        named = {name for matcher in matchers if "alertname" in matcher for name in re.findall(r"[A-Z]\w+", matcher)}
        assert named
        assert named <= alerts
