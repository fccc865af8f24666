"""Free ports of one's own."""

import pytest

from marketstream.testing.platform import free_ports as find_free_ports


@pytest.fixture
def free_ports() -> list[int]:
    return find_free_ports(2)
