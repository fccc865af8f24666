"""A dashboard: rows of panels, variables, and what every dashboard of ours has in common."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from grafana.generator.panels import PREFIX, Panel
from grafana.generator.queries import POSTGRES, PROMETHEUS

SCHEMA_VERSION = 39
TAG = "marketstream"
FEED_EVENTS = (
    "select time, provider || ': ' || kind || ' ' || detail as text, provider || ',' || kind as tags from feed_events"
    " where $__timeFilter(time) and kind <> 'status' order by time desc limit 500"
)


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading, side by side as far as they fit."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard.

    Attributes:
        title: Its name.
        about: What it is for.
        rows: Its panels.
        variables: What may be chosen.
        span: How far back it looks at first.
    """

    title: str
    about: str
    rows: Sequence[Row]
    variables: Sequence[Builder[model.VariableModel]] = ()
    span: str = "30m"

    def text(self, name: str) -> str:
        """The file, such as Grafana reads it; `name` is the file's own."""
        built = self._begun(name)
        for row in self.rows:
            built = built.with_row(dashboard.Row(row.title))
            for panel in row.panels:
                built = built.with_panel(panel)
        board = built.build()
        board.schema_version = SCHEMA_VERSION
        for number, panel in zip(count(1), board.panels or (), strict=False):
            panel.id_val = number
        return json.dumps(board, cls=JSONEncoder, indent=1, sort_keys=True) + "\n"

    def _begun(self, name: str) -> dashboard.Dashboard:
        return (
            dashboard.Dashboard(self.title)
            .uid(PREFIX + name)
            .description(self.about)
            .tags([TAG])
            .readonly()
            .tooltip(model.DashboardCursorSync.CROSSHAIR)
            .refresh("10s")
            .time(f"now-{self.span}", "now")
            .timezone("utc")
            .variables(list(self.variables))
            .annotations([_Feeds(), _Alerts()])
            .link(
                dashboard.DashboardLink("Dashboards")
                .type(model.DashboardLinkType.DASHBOARDS)
                .tags([TAG])
                .as_dropdown(True)
                .keep_time(True)
            )
        )


def of_prometheus(name: str, label: str, metric: str, key: str) -> Builder[model.VariableModel]:
    """A choice among the values that a metric's label has; all of them at first."""
    query = {"query": f"label_values({metric}, {key})", "refId": name}
    return _choice(name, label, PROMETHEUS, query).multi(True).include_all(True).all_value(".*").current(_ALL)


def of_postgres(name: str, label: str, statement: str, first: str = "") -> Builder[model.VariableModel]:
    """A choice among the rows of a statement."""
    choice = _choice(name, label, POSTGRES, statement)
    return choice.current(model.VariableOption(text=first, value=first)) if first else choice


_ALL = model.VariableOption(text="All", value="$__all")


def _choice(name: str, label: str, source: model.DataSourceRef, query: str | dict[str, Any]) -> dashboard.QueryVariable:
    choice = dashboard.QueryVariable(name).label(label).datasource(source).query(query)
    return choice.refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(model.VariableSort.ALPHABETICAL_ASC)


class _Marks(model.AnnotationQuery):
    """Marks over every panel; the SDK's own knows neither statements nor Prometheus' texts."""

    fields: dict[str, Any]

    def to_json(self) -> dict[str, object]:
        """As the dashboard's file has it."""
        return {**super().to_json(), **self.fields}


class _Feeds(Builder[model.AnnotationQuery]):
    def build(self) -> model.AnnotationQuery:
        marks = _Marks(name="Feed events", datasource=POSTGRES, icon_color="orange", hide=False)
        query = {"refId": "Feeds", "rawSql": FEED_EVENTS, "rawQuery": True, "editorMode": "code", "format": "table"}
        marks.fields = {"target": query}
        return marks


class _Alerts(Builder[model.AnnotationQuery]):
    def build(self) -> model.AnnotationQuery:
        marks = _Marks(name="Alerts", datasource=PROMETHEUS, icon_color="red", hide=False)
        marks.expr = 'ALERTS{alertstate="firing", severity!="none"}'
        marks.fields = {"titleFormat": "{{alertname}}", "textFormat": "{{severity}}", "step": "30s"}
        return marks
