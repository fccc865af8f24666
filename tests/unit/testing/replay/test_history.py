"""What was played is found again: by number, by time, in all, and only as far back as remembered."""

from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay.history import PlayedHistory


def trade(sequence: int, time_us: int | None = None, symbol: str = "A") -> MarketTrade:
    return MarketTrade(symbol, 1.0, 1.0, sequence if time_us is None else time_us, None, None, str(sequence), sequence)


def test_the_summary_counts_all_that_was_played() -> None:
    history = PlayedHistory(max_trades_per_symbol=4)
    history.add([trade(number) for number in range(7, 27)])
    history.add([trade(3, symbol="B"), trade(2, symbol="B")])
    assert history.summary() == {
        "A": {"played": 20, "first": 7, "highest": 26},
        "B": {"played": 2, "first": 2, "highest": 3},
    }
    remembered = [each.sequence for each in history.numbered_from("A", 0, 99)]
    assert remembered == list(range(remembered[0], 27))
    assert 4 <= len(remembered) <= 5


def test_pages_by_number_go_on_where_the_last_ended() -> None:
    history = PlayedHistory()
    history.add(trade(number, 100 - number) for number in range(1, 8))
    pages = [[each.sequence for each in history.numbered_from("A", first, 3)] for first in (1, 4, 7, 8)]
    assert pages == [[1, 2, 3], [4, 5, 6], [7], []]
    assert history.numbered_from("B", 1, 3) == []


def test_late_trades_are_found_at_their_time() -> None:
    history = PlayedHistory()
    history.add([trade(1, 10), trade(2, 30), trade(3, 20), trade(4, 20)])
    assert [each.sequence for each in history.between("A", 10, 30)] == [1, 3, 4]
    assert history.last("A") == trade(2, 30)
    assert history.last("B") is None
    assert history.symbols() == ["A"]
