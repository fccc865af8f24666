"""The committed JSON Schemas are current, and a change is judged by what it does to readers."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from marketstream.cli import app
from marketstream.contracts import schema_files
from marketstream.contracts.schema_files import Change, breaking_changes, differences, generate

Schema = dict[str, Any]


def test_every_model_agrees_with_its_committed_file() -> None:
    changes = {difference.topic: difference.change for difference in differences()}
    assert changes == dict.fromkeys(schema_files.MESSAGE_OF_TOPIC, Change.NONE)
    assert len(changes) >= 10
    assert {path.stem for path in schema_files.DIRECTORY.glob("*.json")} == set(schema_files.MESSAGE_OF_TOPIC)


def test_every_field_says_what_it_is() -> None:
    for topic in schema_files.MESSAGE_OF_TOPIC:
        for name, field in generate(topic)["properties"].items():
            assert field.get("description"), f"{topic}.{name}"


def drop_field(schema: Schema) -> None:
    del schema["properties"]["trade_id"]


def retype(schema: Schema) -> None:
    schema["properties"]["price"]["type"] = "string"


def require(schema: Schema) -> None:
    schema["required"].append("sequence")


def add_required(schema: Schema) -> None:
    schema["properties"]["tier"] = {"type": "integer"}
    schema["required"].append("tier")


def lose_value(schema: Schema) -> None:
    schema["properties"]["asset_class"]["enum"].remove("forex")


def lose_values_check(schema: Schema) -> None:
    del schema["properties"]["asset_class"]["enum"]


@pytest.mark.parametrize(
    ("change", "breaks"),
    [
        (drop_field, ["trade_id is gone"]),
        (retype, ["price has another type"]),
        (require, ["sequence is required, and was not"]),
        (add_required, ["tier is required, and was not"]),
        (lose_value, ["asset_class no longer allows forex"]),
        (lose_values_check, ["asset_class has another type"]),
    ],
)
def test_what_breaks_readers(change: Callable[[Schema], None], breaks: list[str]) -> None:
    old = generate("tick_data")
    new = copy.deepcopy(old)
    change(new)
    assert breaking_changes(old, new) == breaks


def add_optional(schema: Schema) -> None:
    schema["properties"]["tier"] = {"type": "integer", "default": 0}


def add_value(schema: Schema) -> None:
    schema["properties"]["asset_class"]["enum"].append("bond")


def describe_anew(schema: Schema) -> None:
    schema["properties"]["price"]["description"] = "Said better."


@pytest.mark.parametrize("change", [add_optional, add_value, describe_anew])
def test_what_does_not(change: Callable[[Schema], None]) -> None:
    old = generate("tick_data")
    new = copy.deepcopy(old)
    change(new)
    assert breaking_changes(old, new) == []


def test_a_value_lost_behind_a_reference_is_found() -> None:
    old = generate("dead_letter_queue")
    new = copy.deepcopy(old)
    new["$defs"]["Reason"]["enum"].remove("late")
    assert breaking_changes(old, new) == ["reason no longer allows late"]


@pytest.fixture
def schemas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    schema_files.write(tmp_path)
    monkeypatch.setattr(differences, "__defaults__", (tmp_path,))
    monkeypatch.setattr(schema_files.write, "__defaults__", (tmp_path,))
    return tmp_path


def edit(path: Path, change: Callable[[Schema], None]) -> None:
    schema = json.loads(path.read_text())
    change(schema)
    path.write_text(json.dumps(schema))


def test_the_command_is_content_with_current_files(schemas: Path) -> None:
    outcome = CliRunner().invoke(app, ["schemas"])
    assert (outcome.exit_code, outcome.output.count("unchanged")) == (0, len(schema_files.MESSAGE_OF_TOPIC))


def test_the_command_fails_on_a_compatible_change_and_writes_it(schemas: Path) -> None:
    edit(schemas / "tick_data.json", lambda schema: schema["properties"].pop("conditions"))  # the model is the newer
    outcome = CliRunner().invoke(app, ["schemas"])
    assert outcome.exit_code == 1
    assert "tick_data: changed compatibly" in outcome.output
    assert CliRunner().invoke(app, ["schemas", "--write"]).exit_code == 0
    assert all(difference.change is Change.NONE for difference in differences(schemas))


def test_the_command_writes_a_breaking_change_only_when_told(schemas: Path) -> None:
    edit(schemas / "tick_data.json", lambda schema: schema["properties"].update(gone={"type": "string"}))
    refused = CliRunner().invoke(app, ["schemas", "--write"])
    assert refused.exit_code == 1
    assert "tick_data: changed incompatibly: gone is gone" in refused.output
    assert CliRunner().invoke(app, ["schemas", "--write", "--breaking"]).exit_code == 0
    assert all(difference.change is Change.NONE for difference in differences(schemas))


def test_a_topic_without_a_file_is_new(tmp_path: Path) -> None:
    assert {difference.change for difference in differences(tmp_path)} == {Change.COMPATIBLE}
