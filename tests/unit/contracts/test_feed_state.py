"""A minute's score, and why it is so."""

import pytest

from marketstream.contracts.feed_state import MinuteRecord


def minute(ticks: int, missing: float, uncovered_seconds: float, *gap_ids: str) -> MinuteRecord:
    return MinuteRecord(
        symbol="IBM",
        minute_us=0,
        ticks=ticks,
        missing=missing,
        uncovered_seconds=uncovered_seconds,
        gap_ids=gap_ids,
    )


@pytest.mark.parametrize(
    ("record", "score", "reason"),
    [
        (minute(7, 0.0, 0.0), 1.0, "complete"),
        (minute(3, 1.0, 0.0, "a"), 0.75, "trades_missing"),
        (minute(0, 1.5, 0.0, "a"), 0.0, "trades_missing"),
        (minute(7, 0.0, 15.0, "a"), 0.75, "time_uncovered"),
        (minute(0, 0.0, 15.0, "a"), 0.75, "time_uncovered"),
        (minute(0, 0.0, 60.0, "a"), 0.0, "time_uncovered"),
        (minute(7, 0.0, 60.00001, "a"), 0.0, "time_uncovered"),
        (minute(3, 1.0, 30.0, "a", "b"), 0.375, "trades_missing_and_time_uncovered"),
        (minute(0, 0.0, 0.0, "a"), 1.0, "complete"),
        (minute(0, 0.0, 0.0), None, "nothing_known"),
    ],
)
def test_the_score_and_its_reason(record: MinuteRecord, score: float | None, reason: str) -> None:
    assert record.score == score
    assert record.reason == reason
