"""The Export page: any stretch of stored data as a file, through REST's own exporter."""

from marketstream.serving.dashboard.export.callbacks import register
from marketstream.serving.dashboard.export.layout import page
from marketstream.serving.dashboard.page import Page

PAGE = Page(
    name="export",
    path="/export",
    title="Export",
    icon="download",
    layout=page,
    register=register,
    selections={
        "data": "export-data",
        "symbol": "export-symbols",
        "window": "export-window",
        "range": "export-range",
        "start": "export-start",
        "end": "export-end",
        "format": "export-format",
    },
    available=lambda sources: sources.exports is not None,
)
