"""One provider in several groups."""

from dataclasses import dataclass

from marketstream.contracts.messages import FeedRole
from marketstream.domain.errors import Fault
from marketstream.producers.board import FeedBoard


@dataclass
class Feed:
    role: FeedRole
    fault: Fault | None = None
    lag_ms: float | None = None
    failures: int = 0
    supplies: bool = False


def board(*feeds: Feed) -> FeedBoard:
    made = FeedBoard()
    for feed in feeds:
        made.add("fmp", feed)
    return made


def test_who_supplies_any_group_is_active() -> None:
    assert board(Feed("standby"), Feed("active")).role("fmp") == "active"
    assert board(Feed("standby"), Feed("open")).role("fmp") == "open"
    assert board(Feed("open"), Feed("probing")).role("fmp") == "probing"


def test_who_delivers_to_any_group_supplies() -> None:
    assert board(Feed("standby"), Feed("active", supplies=True)).supplies("fmp")
    assert not board(Feed("active")).supplies("fmp")


def test_a_fault_of_any_group_is_told() -> None:
    assert board(Feed("active"), Feed("open", Fault.SILENT)).fault("fmp") is Fault.SILENT
    assert board(Feed("active")).fault("fmp") is None


def test_the_greatest_lag_counts() -> None:
    assert board(Feed("standby"), Feed("active", lag_ms=3.0), Feed("probing", lag_ms=7.0)).lag_ms("fmp") == 7.0
    assert board(Feed("standby")).lag_ms("fmp") is None


def test_the_most_failures_count() -> None:
    assert board(Feed("open", failures=3), Feed("active")).failures("fmp") == 3
