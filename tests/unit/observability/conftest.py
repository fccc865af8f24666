"""A port of one's own."""

import pytest

from marketstream.testing.platform import free_ports


@pytest.fixture
def free_port() -> int:
    """A port nobody listens on."""
    return free_ports(1)[0]
