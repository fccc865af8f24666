"""What the rebuild asks before it takes trades out of bars."""

import importlib.util
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from marketstream.commands.rebuild_views import show_report
from marketstream.streaming.rebuild import RebuildRequest, Report

SCRIPT = Path(__file__).parents[3] / "spark_jobs" / "rebuild.py"


@pytest.fixture
def command(monkeypatch, tmp_path):
    monkeypatch.setenv("MARKETSTREAM_DATA_DIR", str(tmp_path))
    spec = importlib.util.spec_from_file_location("rebuild_script", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    app = typer.Typer()
    app.command()(script.main)
    return app


def test_nothing_is_begun_where_the_answer_is_no(command, tmp_path):
    arguments = ["--from", "2026-01-30", "--repair", "--drop-trades"]
    for answer in ("n\n", ""):
        result = CliRunner().invoke(command, arguments, input=answer)
        assert result.exit_code == 1
        assert f"What {tmp_path}/lake does not have" in result.output
        assert "Aborted" in result.output


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "were left as they are\n"),
        ({"repair": True}, "--drop-trades repairs"),
        ({"repair": True, "drop_trades": True}, "the lake has no trades of their day"),
    ],
)
def test_a_report_says_why_bars_were_left_and_days_not_looked_at(changes, said):
    console = Console(record=True, width=200)
    show_report(Report(left=3, days_skipped=2), RebuildRequest(0, 1, (), (), **changes), console)
    text = console.export_text()
    assert said in text
    assert "2 days were not looked at" in text
    assert "no difference" not in text
