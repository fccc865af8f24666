"""API keys: their form, their hash, the ring that knows them, and the sessions that begin with them."""

from collections.abc import Iterator

import pytest

from doors import HOUR_US, NOW_US, PEPPER, Door, entry, token
from marketstream.domain.errors import AccessDeniedError, Denial
from marketstream.serving.access.gates import KeyGate
from marketstream.serving.access.key_ring import KeyRing, RingLimits
from marketstream.serving.access.keys import Wish, digest_of, id_of, make_key
from marketstream.serving.access.principal import Principal, Role
from marketstream.serving.access.sessions import Sessions
from marketstream.testing.platform import eventually

WISH = Wish(name="desk", role=Role.TRADER, scopes=frozenset({"rest"}))


def test_a_key_is_stored_without_its_secret() -> None:
    key, stored = make_key(WISH, PEPPER, by="test", now_us=NOW_US)
    other, _ = make_key(WISH, PEPPER, by="test", now_us=NOW_US)
    assert len({key, other}) == 2
    assert id_of(key) == stored.key_id
    assert key[17:] not in repr(stored)
    assert stored.digest.hex() not in repr(stored)
    assert stored.digest == digest_of(key, PEPPER) != digest_of(key, "another pepper")


@pytest.mark.parametrize("name", ["", " x", "a" * 64, "a\nb", "ä", "<b>", "=1+1"])
def test_names_are_plain(name: str) -> None:
    with pytest.raises(ValueError, match="is no name"):
        Wish(name=name, role=Role.VIEWER)
    with pytest.raises(ValueError, match="none of the scopes"):
        Wish(name="x", role=Role.VIEWER, scopes=frozenset({"all"}))


@pytest.fixture
def ring(door: Door) -> Iterator[KeyRing]:
    ring = KeyRing(door.store, door.clock, RingLimits(cache_seconds=0.05))
    yield ring
    ring.close()


def test_a_new_key_opens_at_once_and_a_revoked_one_soon_does_not(door: Door, ring: KeyRing) -> None:
    gate = KeyGate(ring, PEPPER, door.clock)
    gate.admit(door.key())
    key, stored = door.stored_key(WISH)
    assert gate.admit(key) == Principal("key:desk", Role.TRADER, frozenset({"rest"}), None)
    door.store.revoke(stored.key_id, entry())

    def refused() -> bool:
        try:
            gate.recall(key)
        except AccessDeniedError as error:
            return error.denial is Denial.REVOKED
        return False

    eventually(refused, within_seconds=20, what="the key is refused")


def test_a_key_ends_to_the_microsecond_whatever_the_ring_knows(door: Door, ring: KeyRing) -> None:
    key, gate = door.key(expires_us=NOW_US + HOUR_US), KeyGate(ring, PEPPER, door.clock)
    gate.admit(key)
    door.store.available = False
    door.clock.time_us = NOW_US + HOUR_US - 1
    assert gate.recall(key)
    door.clock.time_us += 1
    with pytest.raises(AccessDeniedError) as caught:
        gate.recall(key)
    assert caught.value.denial is Denial.EXPIRED


def test_known_keys_outlive_an_outage_but_not_any(door: Door) -> None:
    now = [0.0]
    ring = KeyRing(door.store, door.clock, RingLimits(outage_seconds=100), monotonic=lambda: now[0])
    key, gate = door.key(), KeyGate(ring, PEPPER, door.clock)
    try:
        ring.read()
        door.store.available = False
        ring.read()
        now[0] = 100.0
        assert gate.recall(key)
        now[0] = 100.1
        assert gate.recall(key) is None
    finally:
        ring.close()


def test_uses_are_noted(door: Door) -> None:
    ring = KeyRing(door.store, door.clock)
    key, gate = door.key(), KeyGate(ring, PEPPER, door.clock)
    gate.admit(key)
    ring.close()
    assert [each.last_used_us for each in door.store.all_keys()] == [NOW_US]


def test_a_session_ends_with_its_key_with_its_time_and_with_a_sign_out(door: Door, ring: KeyRing) -> None:
    gate = KeyGate(ring, PEPPER, door.clock)
    sessions = Sessions(PEPPER, 2.0, gate, door.clock)
    key, stored = door.stored_key(WISH)
    principal = gate.admit(key)
    cookie, seconds = sessions.begin(principal, key)
    assert seconds == 7_200
    assert key[17:] not in cookie
    assert sessions.principal_of(cookie) == principal
    assert denied(sessions, cookie[:-2]) is Denial.INVALID
    assert denied(Sessions("another pepper" * 3, 2.0, gate, door.clock), cookie) is Denial.INVALID

    second, _ = sessions.begin(principal, key)
    assert sessions.end(cookie) == "key:desk"
    assert denied(sessions, cookie) is Denial.REVOKED
    assert sessions.principal_of(second) == principal
    door.clock.time_us += 2 * HOUR_US
    assert denied(sessions, second) is Denial.EXPIRED

    third, _ = sessions.begin(principal, key)
    door.store.revoke(stored.key_id, entry())
    ring.read()
    assert denied(sessions, third) is Denial.REVOKED


def test_a_session_by_token_ends_when_the_token_would(door: Door) -> None:
    sessions = Sessions(PEPPER, 12.0, None, door.clock)
    principal = Principal("jwt:alice", Role.ADMIN, frozenset(), NOW_US + HOUR_US)
    cookie, seconds = sessions.begin(principal, token())
    assert seconds == 3_600
    assert sessions.principal_of(cookie) == principal
    assert denied(sessions, token("admin")) is Denial.INVALID  # a token of somebody else is no session


def denied(sessions: Sessions, cookie: str) -> Denial:
    with pytest.raises(AccessDeniedError) as caught:
        sessions.principal_of(cookie)
    return caught.value.denial
