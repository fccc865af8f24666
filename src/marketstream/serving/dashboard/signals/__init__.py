"""The Signals page: what crossed what, and what is unusual."""

from marketstream.serving.dashboard.page import Page
from marketstream.serving.dashboard.signals.callbacks import register
from marketstream.serving.dashboard.signals.layout import page

PAGE = Page(
    name="signals",
    path="/signals",
    title="Signals",
    icon="bolt",
    layout=page,
    register=register,
    selections={"symbol": "signals-symbol", "direction": "signals-direction", "severity": "signals-severity"},
    available=lambda sources: sources.detections is not None,
)
