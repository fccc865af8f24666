"""The Pairs page: which symbols move together, and how far a pair is from where it usually is."""

from marketstream.serving.dashboard.page import Page
from marketstream.serving.dashboard.pairs.callbacks import register
from marketstream.serving.dashboard.pairs.layout import page

PAGE = Page(
    name="pairs",
    path="/pairs",
    title="Pairs",
    icon="pairs",
    layout=page,
    register=register,
    selections={"pair": "pairs-pair", "window": "pairs-window", "bars": "pairs-bars"},
    available=lambda sources: sources.pairs is not None,
)
