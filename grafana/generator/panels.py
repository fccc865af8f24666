"""The panels of every dashboard: one look, a unit and a label on every axis, a word on what is shown."""

from collections.abc import Sequence
from typing import Any

from grafana_foundation_sdk.builders import alertgroups, candlestick, common, dashboard, stat, statetimeline, table
from grafana_foundation_sdk.builders import timeseries as lines_builder
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import candlestick as candles_model
from grafana_foundation_sdk.models import common as look
from grafana_foundation_sdk.models import dashboard as model

from grafana.generator.queries import ALERTMANAGER, Query

PREFIX = "marketstream-"
Panel = Any  # the SDK's panel builders share their methods, and no class
GOOD, FAIR, BAD = "green", "yellow", "red"


def lines(title: str, unit: str, axis: str, *queries: Query, about: str = "", stacked: bool = False) -> Panel:
    """Series over time.

    Args:
        title: What is shown.
        unit: Grafana's name of the axis' unit.
        axis: What the axis counts, in words.
        queries: What is asked.
        about: Said where one points at the title.
        stacked: The series are parts of a whole.

    The axis starts at nothing unless it is one of prices or changes, which would be a flat line then.
    """
    panel = (
        _begun(lines_builder.Panel(), title, about, queries)
        .unit(unit)
        .axis_label(axis)
        .line_width(1)
        .fill_opacity(30 if stacked else 10)
        .show_points(look.VisibilityMode.NEVER)
        .legend(_legend())
        .tooltip(_tooltip())
    )
    if axis not in ("price", "change"):
        panel = panel.min(0)
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(look.StackingMode.NORMAL))
    return panel.span(8).height(8)


def number(title: str, unit: str, query: Query, *, steps: Sequence[tuple[float, str]] = (), about: str = "") -> Panel:
    """The newest value, large; its colour is that of the highest step it has reached."""
    reduced = common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)
    return (
        _begun(stat.Panel(), title, about, [query])
        .unit(unit)
        .reduce_options(reduced)
        .color_mode(look.BigValueColorMode.BACKGROUND if steps else look.BigValueColorMode.NONE)
        .graph_mode(look.BigValueGraphMode.AREA)
        .thresholds(_thresholds(steps))
        .span(4)
        .height(4)
    )


def grid(title: str, query: Query, *, units: dict[str, str] | None = None, about: str = "") -> Panel:
    """A table; `units` by column."""
    panel = _begun(table.Panel(), title, about, [query]).show_header(True)
    for column, unit in (units or {}).items():
        panel = panel.override_by_name(column, [model.DynamicConfigValue(id_val="unit", value=unit)])
    return panel.span(12).height(9)


def states(title: str, query: Query, *, words: dict[str, tuple[str, str]], about: str = "") -> Panel:
    """What each series was when; `words` gives a value its text and colour."""
    texts = {
        value: model.ValueMappingResult(text=text, color=colour, index=index)
        for index, (value, (text, colour)) in enumerate(words.items())
    }
    return (
        _begun(statetimeline.Panel(), title, about, [query])
        .mappings([model.ValueMap(options=texts)])
        .show_value(look.VisibilityMode.NEVER)
        .merge_values(True)
        .legend(_legend())
        .tooltip(_tooltip())
        .span(24)
        .height(9)
    )


def candles(title: str, query: Query, *, about: str = "") -> Panel:
    """Bars with their volume."""
    fields = candlestick.CandlestickFieldMap().open("open").high("high").low("low").close("close").volume("volume")
    return (
        _begun(candlestick.Panel(), title, about, [query])
        .mode(candles_model.VizDisplayMode.CANDLES_VOLUME)
        .fields(fields)
        .include_all_fields(True)
        .unit("short")
        .axis_label("price")
        .legend(_legend())
        .override_by_name("volume", [model.DynamicConfigValue(id_val="custom.axisLabel", value="volume")])
        .span(24)
        .height(14)
    )


def firing(title: str, *, about: str = "") -> Panel:
    """What Alertmanager holds now, silenced and inhibited alerts marked."""
    panel = alertgroups.Panel().title(title).description(about).alertmanager(ALERTMANAGER.uid or "")
    return panel.labels("").expand_all(False).datasource(ALERTMANAGER).span(12).height(9)


def go(board: str, title: str, variables: str = "") -> Builder[model.DashboardLink]:
    """A link to another dashboard of ours, at the same time; `variables` such as `&var-symbol=IBM`."""
    return dashboard.DashboardLink(title).type(model.DashboardLinkType.LINK).url(url(board, variables))


def url(board: str, variables: str = "") -> str:
    """Where a dashboard of ours is, at the time range shown."""
    return f"/d/{PREFIX}{board}?${{__url_time_range}}{variables}"


def _begun(panel: Panel, title: str, about: str, queries: Sequence[Query]) -> Panel:
    panel = panel.title(title).description(about).datasource(queries[0].source)
    for letter, query in zip("ABCDEFGH", queries, strict=False):
        panel = panel.with_target(query.named(letter))
    return panel


def _legend() -> Builder[look.VizLegendOptions]:
    mode, place = look.LegendDisplayMode.LIST, look.LegendPlacement.BOTTOM
    return common.VizLegendOptions().display_mode(mode).placement(place).show_legend(True)


def _tooltip() -> Builder[look.VizTooltipOptions]:
    return common.VizTooltipOptions().mode(look.TooltipDisplayMode.MULTI).sort(look.SortOrder.DESCENDING)


def _thresholds(steps: Sequence[tuple[float, str]]) -> Builder[model.ThresholdsConfig]:
    levels = [model.Threshold(value=None, color=GOOD), *(model.Threshold(value=at, color=to) for at, to in steps)]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(levels)
