"""Prometheus, Alertmanager and Grafana: their files are valid, and every metric they ask for exists."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.metrics import MetricWrapperBase

from marketstream.contracts import measurements, tables
from marketstream.observability import exporter, metrics

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "infra" / "prometheus"
DASHBOARDS = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))
RULES = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())
LOADED = {path.stem: json.loads(path.read_text()) for path in DASHBOARDS}


def existing() -> set[str]:
    """Every series name that some process of the platform, or the broker's agent, can show."""
    registry = CollectorRegistry()
    for value in vars(metrics).values():
        if isinstance(value, MetricWrapperBase):
            registry.register(value)
    names = {"up", exporter.CONSUMER_LAG, exporter.LAST_TICK_AGE, exporter.PROBE_SUCCESS}
    names |= {exporter.DISK_FREE, exporter.DISK_SIZE}
    for family in registry.collect():
        names |= series_of(family)
    agent = yaml.safe_load((ROOT / "infra" / "kafka" / "jmx-exporter.yml").read_text())
    return names | {rule["name"] for rule in agent["rules"]}


def series_of(family: Metric) -> set[str]:
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
    return {family.name + suffix for suffix in suffixes}


def asked(expression: str) -> set[str]:
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(by|on|without) \([^)]*\)', "", expression)
    return set(re.findall(r"\b(?:marketstream_|kafka_)\w+|\bup\b", bare))


def panels() -> list[tuple[str, dict[str, Any]]]:
    return [(name, panel) for name, dashboard in LOADED.items() for panel in dashboard["panels"]]


def expressions() -> list[str]:
    from_rules = [rule["expr"] for group in RULES["groups"] for rule in group["rules"]]
    return from_rules + [target["expr"] for _, panel in panels() for target in panel["targets"] if "expr" in target]


def test_every_metric_asked_for_exists() -> None:
    known = existing()
    for expression in expressions():
        assert asked(expression), f"no metric in {expression}"
        assert asked(expression) <= known, expression


def test_every_metric_of_the_platform_is_looked_at() -> None:
    everything = {name for expression in expressions() for name in asked(expression)}
    unseen = {
        family.name
        for value in vars(metrics).values()
        if isinstance(value, MetricWrapperBase)
        for family in value.collect()
        if not series_of(family) & everything
    }
    assert unseen == set()


def test_every_alert_says_how_grave_it_is_and_what_to_do() -> None:
    alerts = [rule for group in RULES["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in alerts}) == len(alerts)
    for rule in alerts:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"].keys() == {"summary", "action"}


def test_dashboards_are_there_and_unique() -> None:
    assert LOADED.keys() == {"market", "platform", "streaming"}
    assert len({dashboard["uid"] for dashboard in LOADED.values()}) == len(LOADED)
    for dashboard in LOADED.values():
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(set(ids)) == len(ids) > 0
        assert not dashboard["editable"]


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
        for part in (panel, *panel["targets"]):
            assert (part["datasource"]["uid"], part["datasource"]["type"]) in sources, f"{name}: {panel['title']}"
    secrets = [value for source in provisioned["datasources"] for value in source.get("secureJsonData", {}).values()]
    assert len(secrets) == 2
    assert all(value.startswith("$") for value in secrets)


def test_what_is_asked_of_the_stores_exists() -> None:
    for name, panel in panels():
        for target in panel["targets"]:
            if "rawSql" in target:
                assert f"from {tables.BARS} " in target["rawSql"], f"{name}: {panel['title']}"
            if "query" in target:
                assert f'"{measurements.LATENCY}"' in target["query"], f"{name}: {panel['title']}"


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
    assert "SUCCESS" in checked("amtool", "check-config", str(ROOT / "infra" / "alertmanager" / "alertmanager.yml"))
