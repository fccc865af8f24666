"""The reference pages that the code determines say what the code says."""

from pathlib import Path

import pytest

from marketstream.reference import PAGES, settings_page
from marketstream.settings import Settings

DIRECTORY = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_page_is_current(name: str) -> None:
    assert (DIRECTORY / name).read_text() == PAGES[name](), "run `python -m marketstream.reference`"


def test_every_setting_is_listed_and_explained() -> None:
    rows = {line.split("`")[1]: line for line in settings_page().splitlines() if line.startswith("| `")}
    names = set()
    for name, field in Settings.model_fields.items():
        parts = getattr(type(field.default), "model_fields", None)
        names |= (
            {f"MARKETSTREAM_{name}__{part}".upper() for part in parts} if parts else {f"MARKETSTREAM_{name}".upper()}
        )
    assert rows.keys() == names
    assert [name for name, row in rows.items() if row.endswith("|  |")] == []


def test_no_secret_shows_as_a_default() -> None:
    for row in settings_page().splitlines():
        if "| secret |" in row:
            assert "| none | secret |" in row
