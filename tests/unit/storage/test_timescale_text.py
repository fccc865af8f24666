"""The text that goes to PostgreSQL: named statements, migrations' variables and COPY rows."""

import re
from importlib.resources import files

import pytest

from marketstream.domain.indicators import Indicators
from marketstream.storage.timescale import migrations
from marketstream.storage.timescale.migrations.sql_files import fill_in
from marketstream.storage.timescale.queries import QUERIES, parse_queries
from marketstream.storage.timescale.rows import bar_row, indicators_of, indicators_row, tick_row
from stores import make_bar, make_indicators, make_provider_bar, make_tick

USERS = (
    "reader.py",
    "writer.py",
    "history.py",
    "known.py",
    "session.py",
    "feeds.py",
    "feed_reader.py",
    "cancels.py",
    "corrections.py",
)
START_US = 1_381_152_600_000_000


def test_statements_are_found_by_their_names() -> None:
    text = "-- about the file\n-- name: one\nselect 1\n\n-- name: two\n-- why\nselect 2;\n"

    assert parse_queries(text) == {"one": "select 1", "two": "-- why\nselect 2;"}


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        parse_queries("-- name: one\nselect 1\n-- name: one\nselect 2\n")


def test_every_statement_is_used_somewhere() -> None:
    package = files("marketstream.storage.timescale")
    code = "".join(package.joinpath(name).read_text() for name in USERS)

    assert [name for name in QUERIES if f'"{name}"' not in code] == []


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ('grant usage on schema :"schema"', 'grant usage on schema "my ""own"""'),
        ("where name = :'schema'", "where name = 'my \"own\"'"),
        (") :cut;", ") partition by range (x);"),
        ("x::text, y::timestamptz", "x::text, y::timestamptz"),
        ("a := :unknown", "a := :unknown"),
        ("array[1:2]", "array[1:2]"),
    ],
)
def test_variables_are_filled_in_as_psql_does(text: str, filled: str) -> None:
    assert fill_in(text, {"schema": 'my "own"', "cut": "partition by range (x)"}) == filled


def test_every_migration_file_knows_its_variables() -> None:
    known = {
        "schema",
        "writer",
        "reader",
        "access",
        "partition_ticks",
        "partition_bars",
        "partition_feed_events",
        "partition_indicators",
        "name",
        "length",
    }
    values = dict.fromkeys(known, "value")
    for file in files(migrations).joinpath("sql").iterdir():
        text = re.sub(r"--.*", "", file.read_text())
        left = re.findall(r"""(?<![:\w]):['"]?[a-z_]+""", fill_in(text, values))
        assert left == [], file.name


def test_a_tick_row() -> None:
    tick = make_tick(START_US, price=0.1, size=1e-07, exchange=None, side="buy", conditions=("@", 'a"b', "c,\\"))

    row = tick_row(tick)

    assert row == (
        "IBM\t1381152600000000\t1381152600020000\t0.1\t1e-07\tpolygon\t1381152600000000-0\t0\t\\N\tbuy\tequity"
        '\t{"@","a\\\\"b","c,\\\\\\\\"}\n'
    )


def test_texts_can_not_break_out_of_their_column() -> None:
    row = tick_row(make_tick(START_US, symbol="A\tB", trade_id="a\nb\\N\r", exchange="\\."))

    assert row.count("\t") == 11
    assert row.count("\n") == 1
    assert row.startswith("A\\tB\t")
    assert "\ta\\nb\\\\N\\r\t" in row
    assert "\t\\\\.\t" in row


def test_a_bar_row() -> None:
    row = bar_row(make_bar(START_US, 7, final=True, revision=2))

    assert row == (
        "IBM\t1min\t1381152600000000\t1381152660000000\t182.0\t190.0\t181.0\t183.0\t700.0\t182.1\t7"
        "\t1381152600000001\t1381152600020000\tt\t2\t\\N\t0\n"
    )
    assert bar_row(make_bar(START_US, 7, cancelled=2)).endswith("\t\\N\t2\n")


def test_an_indicators_row() -> None:
    said = make_indicators(make_bar(START_US, 7, final=True, revision=2), sma_20=5.0, macd=-1e-05)

    assert indicators_row(said) == (
        "IBM\t1min\t1381152600000000\t1381152660000000\tt\t2\t7\t183.0\t1381152600000001\t1381152600020000"
        '\t{"sma_20":5.0,"macd":-0.00001}\t\\N\t0\n'
    )


def test_whole_numbers_in_json_are_floats_again() -> None:
    said = make_indicators(make_bar(START_US, 7), sma_20=5.0)
    row = tuple(getattr(said, name) for name in Indicators.__slots__)

    found = indicators_of((*row[:-3], {"sma_20": 5}, *row[-2:]))

    assert found == said
    assert isinstance(found.values["sma_20"], float)


def test_a_providers_bar_row() -> None:
    row = bar_row(make_provider_bar(START_US, START_US + 3))

    assert row == (
        "IBM\t1min\t1381152600000000\t1381152660000000\t182.0\t183.0\t181.0\t182.0\t1234.5\t\\N\t0"
        "\t1381152600000001\t1381152600000003\tf\t1381152600000003\tfinazon\t0\n"
    )
