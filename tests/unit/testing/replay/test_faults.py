"""Fault states of one provider and of all, joined, and the malformed frames that no parser may take for data."""

import asyncio

import orjson
import pytest

from marketstream.testing.fakes import FakeClock
from marketstream.testing.replay.audience import Audience
from marketstream.testing.replay.fault_states import MALFORMED, FaultStates
from marketstream.testing.replay.faults import FaultDesk


def desk() -> FaultDesk:
    return FaultDesk(Audience(0.0), FakeClock(), refused_keys=("old",))


def test_a_providers_states_are_its_own_where_set_and_else_everyones() -> None:
    faults = desk()
    faults.everyones.delay_seconds = 2.0
    faults.everyones.silent = True
    faults.of("fmp").delay_seconds = 1.0
    faults.of("fmp").reorder = 5
    assert faults.states("fmp") == FaultStates(silent=True, delay_seconds=1.0, reorder=5)
    assert faults.states("binance") == FaultStates(silent=True, delay_seconds=2.0)
    faults.clear()
    assert faults.states("fmp") == faults.states("binance") == FaultStates()


def test_rules_follow_the_faults_and_stay_the_same_object() -> None:
    faults = desk()
    rules = faults.rules("finage")
    assert rules.accepts_key("new")
    assert not rules.accepts_key("old")
    faults.of("finage").refuse_auth = True
    faults.everyones.quota = "ban"
    assert faults.rules("finage") is rules
    assert not rules.accepts_key("new")
    assert rules.quota == faults.rules("polygon").quota == "ban"
    assert faults.rules("polygon").accepts_key("new")


async def test_no_state_can_be_misspelt() -> None:
    with pytest.raises(AttributeError, match="quiet"):
        desk().everyones.set_states({"quiet": True})
    with pytest.raises(KeyError):
        desk().of("nobody")


async def test_a_later_setting_outlasts_an_earlier_ones_end() -> None:
    faults = desk().everyones
    faults.set_states({"silent": True, "reorder": 3}, seconds=0)
    faults.set_states({"silent": True})
    while faults.reorder:  # noqa: ASYNC110  # a field has no event
        await asyncio.sleep(0)
    assert faults.silent


def test_malformed_frames_are_distinct_text() -> None:
    assert len(set(MALFORMED)) == len(MALFORMED)
    for frame in MALFORMED:
        frame.decode()
    assert any(_is_json(frame) for frame in MALFORMED)
    assert not all(_is_json(frame) for frame in MALFORMED)


def _is_json(frame: bytes) -> bool:
    try:
        orjson.loads(frame)
    except orjson.JSONDecodeError:
        return False
    return True
