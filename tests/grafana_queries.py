"""Grafana's part in tests: finds every query of every dashboard, fills in macros and variables, and asks the source.

As Grafana 11 does: of PostgreSQL `$__timeFilter`, `$__timeFrom`, `$__timeTo`; of Prometheus `$__rate_interval` (four
times what the source is scraped at, or the query's own step), `$__range`; of InfluxDB the option `v`; everywhere the
variables of the dashboard.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from influxdb_client.client.influxdb_client import InfluxDBClient

from marketstream.settings import Settings
from marketstream.storage.timescale.connection import connect

DASHBOARDS = Path(__file__).parents[1] / "grafana" / "dashboards"
RANGE_SECONDS = 900
SCRAPE_SECONDS = 5  # of the data source; a panel whose source is asked more seldom says so itself
STEP_SECONDS = 5


@dataclass(frozen=True)
class Asked:
    """One query and where it stands.

    Attributes:
        name: Dashboard, panel and letter.
        source: The data source's type.
        fields: The query as the dashboard's file has it.
    """

    name: str
    source: str
    fields: Mapping[str, Any]


def loaded() -> dict[str, dict[str, Any]]:
    """Every dashboard by its file's name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))}


def every_query() -> Iterator[Asked]:
    """Those of panels, variables and annotations."""
    for name, board in loaded().items():
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                where = f"{name} / {panel['title']} / {target['refId']}"
                yield Asked(where, target["datasource"]["type"], target)
            if panel["type"] == "alertGroups":
                yield Asked(f"{name} / {panel['title']}", "alertmanager", {})
        for variable in board["templating"]["list"]:
            query = variable["query"]
            fields = {"label_values": query["query"]} if isinstance(query, dict) else {"rawSql": query}
            yield Asked(f"{name} / ${variable['name']}", variable["datasource"]["type"], fields)
        for mark in board["annotations"]["list"]:
            fields = mark.get("target") or {"expr": mark["expr"], "refId": "Anno"}
            yield Asked(f"{name} / annotation {mark['name']}", mark["datasource"]["type"], fields)


class Sources:
    """The platform's four sources, asked with the rights that Grafana has.

    Args:
        settings: Where they are.
        variables: What stands for each dashboard's variables; every other one is `.*`, which is "All".
    """

    def __init__(self, settings: Settings, variables: Mapping[str, str]) -> None:
        self._settings = settings
        self._variables = dict(variables)

    def rows(self, asked: Asked) -> int:
        """How many rows, or series with a number in them, a query brings."""
        if asked.source == "grafana-postgresql-datasource":
            return self._postgres(asked.fields["rawSql"])
        if asked.source == "influxdb":
            return self._influx(asked.fields["query"])
        if asked.source == "alertmanager":
            return len(_answer(f"{self._alertmanager}/api/v2/alerts"))
        if "label_values" in asked.fields:
            return self._label_values(asked.fields["label_values"])
        return self._prometheus(asked.fields)

    @property
    def _alertmanager(self) -> str:
        return f"http://127.0.0.1:{self._settings.observability.alertmanager_port}"

    @property
    def _prometheus_url(self) -> str:
        return f"http://127.0.0.1:{self._settings.observability.prometheus_port}/api/v1"

    def _filled_in(self, text: str, macros: Mapping[str, str]) -> str:
        for macro, value in macros.items():
            text = text.replace(macro, value)
        text = re.sub(r"\$\{?([a-z]+)\}?", lambda match: self._variables.get(match[1], ".*"), text)
        assert "$" not in re.sub(r"'[^']*'|\"[^\"]*\"", "", text), f"something is not filled in: {text}"
        return text

    def _postgres(self, statement: str) -> int:
        now = datetime.now(UTC)
        start, end = (f"'{moment.isoformat()}'" for moment in (now - timedelta(seconds=RANGE_SECONDS), now))
        statement = re.sub(r"\$__timeFilter\(([^)]+)\)", rf"\1 between {start} and {end}", statement)
        filled = self._filled_in(statement, {"$__timeFrom()": start, "$__timeTo()": end})
        with closing(connect(self._settings.postgres, "reader", statement_seconds=20)) as connection:
            connection.set_session(readonly=True)
            with connection.cursor() as cursor:
                cursor.execute(filled)
                return len(cursor.fetchall())

    def _influx(self, query: str) -> int:
        influx = self._settings.influx
        option = (
            f"option v = {{timeRangeStart: -{RANGE_SECONDS}s, timeRangeStop: now(), windowPeriod: 10s,"
            f' defaultBucket: "{influx.bucket}"}}\n'
        )
        with InfluxDBClient(influx.url, influx.token.get_secret_value(), org=influx.organisation) as client:
            tables = client.query_api().query(option + self._filled_in(query, {}))
        return sum(len(table.records) for table in tables)

    def _label_values(self, query: str) -> int:
        match = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
        assert match is not None, query
        return len(_answer(f"{self._prometheus_url}/label/{match[2]}/values", {"match[]": match[1]})["data"])

    def _prometheus(self, query: Mapping[str, Any]) -> int:
        step = int(query["interval"].removesuffix("s")) if "interval" in query else SCRAPE_SECONDS
        macros = {"$__rate_interval": f"{4 * step}s", "$__range": f"{RANGE_SECONDS}s"}
        now = time.time()
        span: dict[str, Any] = {"start": now - RANGE_SECONDS, "end": now, "step": STEP_SECONDS}
        if query.get("instant"):
            span = {"time": now}
        path = "query" if query.get("instant") else "query_range"
        parameters = {"query": self._filled_in(query["expr"], macros), **span}
        found = _answer(f"{self._prometheus_url}/{path}", parameters)["data"]["result"]
        values = [series.get("values") or [series["value"]] for series in found]
        return sum(any(value not in ("NaN", "+Inf", "-Inf") for _, value in numbers) for numbers in values)


def _answer(url: str, parameters: Mapping[str, Any] | None = None) -> Any:
    answer = httpx.get(url, params=dict(parameters or {}), timeout=20)
    assert answer.status_code == httpx.codes.OK, f"{url} {parameters}: {answer.text[:500]}"
    return answer.json()
