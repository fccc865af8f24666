"""A locked door, whose threads end with the test."""

from collections.abc import Iterator

import pytest

from doors import Door


@pytest.fixture
def door() -> Iterator[Door]:
    door = Door()
    yield door
    door.close()
