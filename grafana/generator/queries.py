"""Queries of the three stores that have data of their own, as Grafana's panels carry them."""

from typing import Any

from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.dashboard import DataSourceRef
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="marketstream-prometheus")
POSTGRES = DataSourceRef(type_val="grafana-postgresql-datasource", uid="marketstream-timescaledb")
INFLUX = DataSourceRef(type_val="influxdb", uid="marketstream-influxdb")
ALERTMANAGER = DataSourceRef(type_val="alertmanager", uid="marketstream-alertmanager")


class _Plain(Dataquery):
    """A query of a source that the SDK has no type for; its fields are those of the source's own editor."""

    def __init__(self, source: DataSourceRef, fields: dict[str, Any]) -> None:
        self.datasource = source
        self.ref_id = ""
        self._fields = fields

    def to_json(self) -> dict[str, Any]:
        """The query as the dashboard's file has it."""
        return {"refId": self.ref_id, "datasource": self.datasource, **self._fields}


class Query(Builder[Dataquery]):
    """A query and the source it asks.

    Args:
        source: Which.
        built: The query.
    """

    def __init__(self, source: DataSourceRef, built: Any) -> None:
        self.source = source
        self._built = built

    def named(self, ref_id: str) -> "Query":
        """With the letter that tells it from its panel's others."""
        self._built.ref_id = ref_id
        return self

    def build(self) -> Dataquery:
        """The query itself."""
        query: Dataquery = self._built
        return query


def prom(expression: str, legend: str = "", *, step: str = "", table: bool = False) -> Query:
    """A PromQL query.

    Args:
        expression: With Grafana's variables.
        legend: Each series' name, such as `{{provider}}`.
        step: How often the source is scraped, where that is more seldom than the platform's own metrics are.
        table: The values of now, a row for each series.
    """
    query = prometheus.Dataquery().expr(expression).legend_format(legend).datasource(PROMETHEUS)
    query = query.instant().format(PromQueryFormat.TABLE) if table else query.range()
    return Query(PROMETHEUS, (query.interval(step) if step else query).build())


def sql(statement: str, *, series: bool = False) -> Query:
    """A PostgreSQL query: of a table, or of series with the columns `time`, `metric` and `value`."""
    fields = {"editorMode": "code", "rawQuery": True, "format": "time_series" if series else "table"}
    return Query(POSTGRES, _Plain(POSTGRES, {**fields, "rawSql": " ".join(statement.split())}))


def flux(query: str) -> Query:
    """A Flux query."""
    return Query(INFLUX, _Plain(INFLUX, {"query": query.strip()}))
