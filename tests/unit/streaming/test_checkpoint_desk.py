"""Checkpoints looked at from outside and through the command, as Spark leaves them on the disk."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from marketstream import bootstrap
from marketstream.cli import app
from marketstream.domain.errors import BusError, ConfigurationError, StreamingError
from marketstream.settings import load_settings
from marketstream.streaming import checkpoint_desk
from marketstream.streaming.checkpoint_desk import CheckpointDesk
from marketstream.streaming.checkpoints import QueryShape
from marketstream.streaming.job import bars_checkpoints
from marketstream.streaming.queries import KnownQuery

SHAPE = QueryShape(
    transform_version=1,
    mode="realtime",
    intervals=("1min",),
    source_partitions=2,
    shuffle_partitions=1,
    source="topic-a",
)


class Ends:
    """A broker that knows the ends of tick_data, or is away."""

    away = False

    def ends(self, topics):
        if self.away:
            raise BusError("Kafka is away")
        assert topics == {"tick_data"}
        return {("tick_data", 0): 120, ("tick_data", 1): 55}


@pytest.fixture
def settings(tmp_path):
    return load_settings(data_dir=tmp_path)


@pytest.fixture
def wanted():
    """What the settings want, as a list of one shape that a test may replace."""
    return [SHAPE]


@pytest.fixture
def ends():
    return Ends()


@pytest.fixture
def desk(settings, wanted, ends, monkeypatch):
    known = {"bars": KnownQuery(bars_checkpoints, lambda _: wanted[0])}
    monkeypatch.setattr(checkpoint_desk, "QUERIES", known)
    desk = CheckpointDesk(settings, ends)
    monkeypatch.setattr(bootstrap, "build_checkpoint_desk", lambda _: desk)
    return desk


@pytest.fixture
def made(settings):
    """A checkpoint with one batch done and a second begun."""
    path = bars_checkpoints(settings).open(SHAPE).path
    (path / "commits").mkdir()
    (path / "commits" / "0").write_text('v1\n{"nextBatchWatermarkMs":0}')
    (path / "offsets").mkdir()
    for batch, first in (("0", 100), ("1", 110)):
        offsets = {"tick_data": {"0": first, "1": 50}}
        (path / "offsets" / batch).write_text(f'v1\n{{"batchWatermarkMs":0}}\n{json.dumps(offsets)}')
    return path


def run(*arguments, **options):
    return CliRunner().invoke(app, ["checkpoints", *arguments], env={"COLUMNS": "200"}, **options)


def test_how_far_the_newest_batch_got_is_told_against_the_topics_ends(desk, made):
    (state,) = desk.states()
    assert (state.query, state.running, state.folder) == ("bars", False, str(made))
    assert [(each.partition, each.processed, each.end) for each in state.positions] == [(0, 100, 120), (1, 50, 55)]
    assert (state.behind, state.commit.batch, state.pointer.shape) == (25, 0, SHAPE)
    assert state.size_bytes == sum(path.stat().st_size for path in made.rglob("*") if path.is_file())


def test_a_broker_that_is_away_leaves_the_rest_to_be_told(desk, made, ends):
    ends.away = True
    (state,) = desk.states()
    assert state.behind is None
    assert state.positions[0].processed == 100
    assert "Kafka does not answer" in run("list").stdout


def test_the_list_shows_one_line_a_query_and_where_it_is(desk, made):
    out = run("list").stdout
    assert "realtime" in out
    assert "1min" in out
    assert f"bars: {made}" in out
    (entry,) = json.loads(run("list", "--json").stdout)
    assert (entry["query"], entry["behind"], entry["commit"]["batch"]) == ("bars", 25, 0)


def test_without_a_checkpoint_there_is_little_to_list_and_nothing_to_reset(desk):
    assert "never" in run("list").stdout
    outcome = run("reset", "bars", "--yes")
    assert (outcome.exit_code, "no checkpoint" in outcome.stdout) == (0, True)


def test_it_is_explained_why_a_checkpoint_is_replaced(desk, made, wanted):
    assert "bars would resume: resuming checkpoint" in run("explain", "bars").stdout
    wanted[0] = replace(SHAPE, mode="microbatch", source_partitions=8)
    out = run("explain", "bars").stdout
    assert "would begin afresh: the earlier checkpoint does not fit: mode realtime → microbatch" in out
    assert "reading what was received since" in out
    assert made.is_dir()
    told = json.loads(run("explain", "bars", "--json").stdout)
    assert (told["made_for"]["source_partitions"], told["wanted"]["source_partitions"]) == (2, 8)


def test_a_reset_asks_says_what_follows_and_does_it(desk, made):
    refused = run("reset", "bars", input="n\n")
    assert refused.exit_code == 1
    assert made.is_dir()
    done = run("reset", "bars", input="y\n")
    assert done.exit_code == 0
    assert "begins afresh, reading what was received since" in done.stdout
    assert not made.exists()


def test_a_reset_can_read_everything_again(desk, made, settings):
    done = run("reset", "bars", "--from-oldest", "--yes")
    assert "reading from the beginning" in done.stdout
    assert bars_checkpoints(settings).open(SHAPE).source_options == {"startingOffsets": "earliest"}


def test_what_runs_is_reset_only_by_force(desk, made, settings):
    with bars_checkpoints(settings).held():
        refused = run("reset", "bars", "--yes")
        assert (refused.exit_code, "bars runs" in refused.stderr) == (1, True)
        assert made.is_dir()
        with pytest.raises(StreamingError, match="another bars query runs"):
            desk.reset("bars", from_oldest=False, force=False)
        assert run("reset", "bars", "--yes", "--force").exit_code == 0
    assert not made.exists()


def test_a_damaged_checkpoint_is_told_and_removed(desk, made):
    (made.parent / "current.json").write_text("{")
    assert "damaged" in run("list").stdout
    outcome = run("reset", "bars", "--yes")
    assert (outcome.exit_code, "reading from the beginning" in outcome.stdout) == (0, True)
    assert not made.exists()


def test_a_log_of_offsets_that_spark_would_refuse_is_damage(desk, made):
    (made / "offsets" / "0").write_text("v1\n{}\n{cut")
    (state,) = desk.states()
    assert "can't be read" in state.damage


def test_an_unknown_query_is_named_with_those_there_are(desk):
    with pytest.raises(ConfigurationError, match="no query 'ticks'; queries: bars"):
        desk.explain("ticks")
