"""Trade files are read in replay order, written back alike, and refused with a reason."""

import gzip
from itertools import islice, pairwise
from pathlib import Path

import polars as pl
import pytest

from marketstream.domain.errors import ConfigurationError
from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.trades import CHUNK_TRADES, RecordedTrades, read_trades, write_trades

HEADER = "event_time_us,symbol,price,size,exchange,sale_condition,suspicious,sequence\n"


def all_trades(recorded: RecordedTrades) -> list[MarketTrade]:
    return [trade for chunk in recorded.chunks() for trade in chunk]


def trade(symbol: str, time_us: int, sequence: int, *, size: float = 1.0) -> MarketTrade:
    return MarketTrade(symbol, 10.25, size, time_us, "N", "buy", str(sequence), sequence, (14, 41))


def test_reads_the_columns_of_a_recording(tmp_path: Path) -> None:
    path = tmp_path / "trades.csv.gz"
    path.write_bytes(
        gzip.compress((HEADER + "1381132800614000,BAC,13.94,500,P,20002020,0,0\n1,IBM,2,0.5,,,1,0\n").encode())
    )
    ibm, bac = all_trades(read_trades(path))
    assert bac == MarketTrade("BAC", 13.94, 500.0, 1_381_132_800_614_000, "P", None, "1", 1, (12, 14, 41))
    assert ibm == MarketTrade("IBM", 2.0, 0.5, 1, None, None, "1", 1, ())


def test_four_columns_are_enough_and_rows_number_themselves(tmp_path: Path) -> None:
    path = tmp_path / "trades.csv"
    path.write_text("price,size,symbol,event_time_us\n1,1,A,5\n2,1,B,4\n3,1,A,5\n")
    assert [(trade.symbol, trade.price, trade.sequence) for trade in all_trades(read_trades(path))] == [
        ("B", 2.0, 1),
        ("A", 1.0, 1),
        ("A", 3.0, 2),
    ]


def test_merges_by_time_keeps_each_symbols_sequence_and_replays_late_trades_late() -> None:
    given = [trade("B", 20, 1), trade("A", 30, 2), trade("A", 10, 3), trade("A", 10, 1), trade("B", 25, 2)]
    replayed = [(each.symbol, each.sequence) for each in all_trades(RecordedTrades.of(given))]
    assert replayed == [("A", 1), ("B", 1), ("B", 2), ("A", 2), ("A", 3)]


def test_flags_are_sent_as_the_numbers_of_the_conditions_they_stand_for(tmp_path: Path) -> None:
    path = tmp_path / "trades.csv"
    flags = ["1", "4800", "6004", "20100200", "80000000", "40000000"]
    path.write_text(HEADER + "".join(f"{n},A,1,1,N,{each},0,{n}\n" for n, each in enumerate(flags)))
    conditions = [each.conditions for each in all_trades(read_trades(path))]
    assert conditions == [(0,), (32,), (13, 20), (2, 10, 41), (37,), ()]


def test_a_condition_without_a_flag_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="sale condition 53"):
        write_trades(tmp_path / "trades.csv", [trade("A", 1, 1)._replace(conditions=(53,))])


@pytest.mark.parametrize("number", [0, 2, 7, 13, 32, 12, 30, 37, 15])
def test_a_condition_survives_a_file(tmp_path: Path, number: int) -> None:
    write_trades(tmp_path / "trades.csv", [trade("A", 1, 1)._replace(conditions=(number,))])
    assert [each.conditions for each in all_trades(read_trades(tmp_path / "trades.csv"))] == [(number,)]


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_what_is_written_is_read_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"trades{suffix}"
    given = [trade("A", number // 3, number, size=number / 7) for number in range(1, CHUNK_TRADES + 6)]
    write_trades(path, given)
    recorded = read_trades(path)
    assert all_trades(recorded) == given
    assert recorded.symbols == ("A",)
    assert (recorded.first_event_time_us, recorded.last_event_time_us) == (0, (CHUNK_TRADES + 5) // 3)


def test_each_loop_is_later_by_whole_minutes_with_new_ids() -> None:
    minute = 60_000_000
    recorded = RecordedTrades.of([trade("A", 0, 4), trade("B", minute, 9), trade("A", 3 * minute, 6)])
    trades = list(islice((trade for chunk in recorded.chunks(loop=True) for trade in chunk), 9))
    assert [trade.event_time_us // minute for trade in trades] == [0, 1, 3, 4, 5, 7, 8, 9, 11]
    assert all(first.event_time_us < second.event_time_us for first, second in pairwise(trades))
    assert len({(trade.symbol, trade.trade_id) for trade in trades}) == 9
    for symbol in ("A", "B"):
        sequences = [trade.sequence for trade in trades if trade.symbol == symbol]
        assert sequences == list(range(1, len(sequences) + 1))


def test_holes_in_a_files_sequences_are_closed() -> None:
    given = [trade("A", 1, 70), trade("A", 2, 7), trade("B", 3, 5), trade("A", 4, 700)]
    replayed = all_trades(RecordedTrades.of(given))
    assert sorted((each.symbol, each.sequence, each.trade_id) for each in replayed) == [
        ("A", 1, "1"),
        ("A", 2, "2"),
        ("A", 3, "3"),
        ("B", 1, "1"),
    ]
    assert [each.event_time_us for each in replayed if each.symbol == "A"] == [2, 1, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("event_time_us,symbol,price\n1,A,1\n", "lacks the column size"),
        (HEADER, "holds no trade"),
        (HEADER + "soon,A,1,1,N,0,0,0\n", "soon"),
        (HEADER + "1,A,1,1,N,0,0,0\n1,A,0,1,N,0,0,1\n", "row 2: the price"),
        (HEADER + "1,A,nan,1,N,0,0,0\n", "row 1: the price"),
        (HEADER + "1,A,1,-1,N,0,0,0\n", "row 1: the size"),
        (HEADER + "1,,1,1,N,0,0,0\n", "row 1: a required value is missing"),
        (HEADER + "1,A,1,1,N,F;T,0,0\n", "row 1: sale_condition"),
        (HEADER + "1,A,1,1,N,0,0,7\n2,A,1,1,N,0,0,7\n", "same sequence twice"),
        ("event_time_us,symbol,price,size,side\n1,A,1,1,up\n", "row 1: the side"),
    ],
)
def test_a_wrong_file_is_refused_with_its_fault(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "trades.csv"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=message) as refusal:
        read_trades(path)
    assert str(path) in str(refusal.value)


def test_an_absent_unreadable_or_unknown_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such trade file"):
        read_trades(tmp_path / "absent.csv")
    for name, message in (("trades.txt", "a trade file is"), ("trades.parquet", "unreadable")):
        path = tmp_path / name
        path.write_bytes(b"neither")
        with pytest.raises(ConfigurationError, match=message):
            read_trades(path)
    with pytest.raises(ConfigurationError, match="a trade file is"):
        write_trades(tmp_path / "trades.json", [trade("A", 1, 1)])


def test_the_shared_recording_is_replayed_row_for_row() -> None:
    path = Path(__file__).parents[3].parent / "shared/data/us_equity_trades_20131007.csv.gz"
    if not path.is_file():
        pytest.skip("the recording of real trades is not beside this checkout")
    rows = pl.read_csv(path, schema_overrides={"sale_condition": pl.String})
    trades = all_trades(read_trades(path))
    assert len(trades) == rows.height
    for symbol in ("IBM", "BAC"):
        expected = rows.filter(symbol=symbol).sort("sequence").select("event_time_us", "price", "size").rows()
        own = [each for each in trades if each.symbol == symbol]
        assert [(each.event_time_us, each.price, each.size) for each in own] == expected
        assert [each.sequence for each in own] == list(range(1, len(own) + 1))
