"""The System page: how services, topics, feeds and the way of the data through them are."""

from marketstream.serving.dashboard.page import Page
from marketstream.serving.dashboard.system.callbacks import register
from marketstream.serving.dashboard.system.layout import page

PAGE = Page(
    name="system",
    path="/system",
    title="System",
    icon="pulse",
    layout=page,
    register=register,
    available=lambda sources: sources.metrics is not None or sources.feed_data is not None,
)
