"""A server on real sockets that speaks the providers' own protocols: demo feed, test rig and benchmark load."""

from marketstream.testing.replay.server import ReplayOptions, ReplayServer
from marketstream.testing.replay.source import FileSource, MarketSource, Pace

__all__ = ["FileSource", "MarketSource", "Pace", "ReplayOptions", "ReplayServer"]
