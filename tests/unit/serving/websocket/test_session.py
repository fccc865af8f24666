"""One client's queue and numbers: bounded, whole, and honest about what is missing."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest

from listening import FakeLink, make_bar, make_tick
from marketstream.serving.websocket.protocol import Close
from marketstream.serving.websocket.session import Session, Tally, Wish
from marketstream.serving.websocket.updates import Channel, Decoder, Update
from marketstream.settings import WebSocketSettings

DECODER = Decoder(())
EVERY = Wish()


@pytest.fixture
async def session() -> Session:
    settings = WebSocketSettings(queue_updates=100, replay_updates=50)
    made = Session("id", "open", settings, Tally(), asyncio.get_running_loop())
    made.attach(FakeLink())
    return made


def link_of(session: Session) -> FakeLink:
    assert isinstance(session.link, FakeLink)
    return session.link


def ticks(numbers: Sequence[int]) -> list[Update]:
    return [DECODER.of_tick(make_tick("IBM", number)) for number in numbers]


def offer(session: Session, updates: Sequence[Update]) -> None:
    for update in updates:
        session.offer(update, EVERY)
    session.flush()


def numbers(link: FakeLink) -> list[int]:
    """The number of each update heard."""
    found: list[int] = []
    for message in link.heard:
        if message["type"] == "updates":
            found += range(message["seq"] - len(message["updates"]) + 1, message["seq"] + 1)
    return found


def ids(link: FakeLink) -> list[int]:
    updates = [update for message in link.heard if message["type"] == "updates" for update in message["updates"]]
    return [int(update["data"]["trade_id"]) for update in updates]


async def test_updates_are_numbered_without_holes(session: Session) -> None:
    for first in range(0, 300, 30):
        offer(session, ticks(range(first, first + 30)))
    link = link_of(session)
    assert ids(link) == list(range(300))
    assert numbers(link) == list(range(1, 301))


async def test_what_a_blocked_client_misses_is_bounded_and_told(session: Session) -> None:
    link = link_of(session)
    link.blocked = True
    for first in range(0, 1_000, 10):
        offer(session, ticks(range(first, first + 10)))
        assert session.queued <= 110  # the bound, and one batch
    link.blocked = False
    session.flush()
    told = link.heard[0]
    assert told["type"] == "lagging"
    assert told["dropped"]["ticks"] + len(ids(link)) == 1_000
    assert ids(link) == list(range(told["dropped"]["ticks"], 1_000))  # the oldest were dropped
    assert numbers(link)[0] == told["dropped"]["ticks"] + 1  # whose numbers are missing
    assert numbers(link)[-1] == 1_000


async def test_old_versions_of_bars_give_way_before_anything_is_dropped(session: Session) -> None:
    link = link_of(session)
    link.blocked = True
    offer(session, [DECODER.of_bar(make_bar("IBM", 0, trades)) for trades in range(1, 500)])
    link.blocked = False
    session.flush()
    assert link.heard[0]["dropped"] == {}
    assert link.heard[0]["conflated"]["bars"] >= 400
    assert link.heard[-1]["updates"][-1]["data"]["trade_count"] == 499
    assert all(one + 1 == other for one, other in pairwise(numbers(link)))


async def test_events_outlive_ticks_in_a_full_queue(session: Session) -> None:
    link = link_of(session)
    link.blocked = True
    alert = Update(channel=Channel.ALERTS, symbol="", fragment=b'{"channel":"alerts","data":{"trade_id":"-1"}}')
    offer(session, [alert, *ticks(range(1_000))])
    link.blocked = False
    session.flush()
    assert ids(link)[0] == -1


async def test_a_lost_connection_goes_on_where_it_was(session: Session) -> None:
    first = link_of(session)
    offer(session, ticks(range(20)))
    session.detach(first)
    offer(session, ticks(range(20, 40)))
    second = FakeLink()
    session.attach(second)
    assert session.knows(7)
    assert session.replay(7) == 33
    offer(session, ticks(range(40, 45)))
    assert ids(second) == list(range(7, 45))
    assert numbers(second) == list(range(8, 46))


async def test_what_was_overrun_is_not_promised(session: Session) -> None:
    session.detach(link_of(session))
    offer(session, ticks(range(60)))  # the replay keeps 50
    assert not session.knows(9)
    assert session.knows(10)
    assert not session.knows(61)  # never said


async def test_a_hole_is_in_the_replay_too(session: Session) -> None:
    link = link_of(session)
    offer(session, ticks(range(10)))
    link.blocked = True
    offer(session, ticks(range(10, 120)))  # more than may wait: the queue is cut to 75
    link.blocked = False
    offer(session, [])
    session.detach(link)
    again = FakeLink()
    session.attach(again)
    assert not session.knows(40)  # within the hole, and the replay keeps 50 updates
    session.replay(100)
    assert ids(again) == list(range(100, 120))
    assert numbers(again) == list(range(101, 121))


async def test_a_replayed_hole_is_told() -> None:
    settings = WebSocketSettings(queue_updates=10, replay_updates=500)
    session = Session("id", "open", settings, Tally(), asyncio.get_running_loop())
    link = FakeLink()
    session.attach(link)
    offer(session, ticks(range(5)))
    link.blocked = True
    offer(session, ticks(range(5, 25)))
    session.detach(link)
    again = FakeLink()
    session.attach(again)
    session.replay(3)
    assert [(message["type"], message["seq"]) for message in again.heard] == [
        ("updates", 5),
        ("lagging", 18),
        ("updates", 25),
    ]
    assert again.heard[1]["dropped"] == {"updates": 13}
    assert ids(again) == [3, 4, *range(18, 25)]


async def test_a_second_connection_ends_the_first(session: Session) -> None:
    first = link_of(session)
    session.attach(FakeLink())
    assert first.finished is Close.RESUMED_ELSEWHERE
    session.detach(first)  # which comes late, and changes nothing
    assert session.link is not None


async def test_a_snapshot_takes_a_number_and_is_replayed(session: Session) -> None:
    offer(session, ticks(range(3)))
    session.send_snapshot(ticks([2]), last=True)
    offer(session, ticks([3]))
    assert [message["seq"] for message in link_of(session).heard] == [3, 4, 5]
    session.detach(link_of(session))
    again = FakeLink()
    session.attach(again)
    session.replay(3)
    assert [(message["type"], message["seq"]) for message in again.heard] == [("snapshot", 4), ("updates", 5)]


async def test_intervals_that_are_not_wanted_are_left_out(session: Session) -> None:
    session.offer(DECODER.of_bar(make_bar("IBM", 0, 1)), Wish(intervals=frozenset({"5min"})))
    session.flush()
    assert link_of(session).heard == []
