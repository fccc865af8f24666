"""API keys and the audit log keep their ports' promises, in memory and in PostgreSQL; there, each role does its own."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import psycopg2
import pytest

from doors import HOUR_US, NOW_US, PEPPER, entry
from marketstream.contracts.access import ApiKey, AuditTrail, KeyKeeper, KeyReader
from marketstream.domain.errors import StoreError, StoreUnavailableError
from marketstream.serving.access.keys import Wish, make_key
from marketstream.serving.access.principal import Role
from marketstream.settings import PostgresSettings, Settings
from marketstream.storage.timescale.access import TimescaleAccess, TimescaleKeyKeeper
from marketstream.storage.timescale.connection import connect
from marketstream.testing.fake_access import InMemoryAccess
from stores import CLOSED_PORT, as_owner, fresh_schema

pytestmark = pytest.mark.servers


@dataclass(frozen=True)
class Stores:
    reader: KeyReader
    keeper: KeyKeeper
    trail: AuditTrail
    away: Any


@pytest.fixture(scope="module")
def database(server_settings: Callable[..., Settings]) -> Iterator[PostgresSettings]:
    with fresh_schema(server_settings("postgres").postgres) as own:
        yield own


@pytest.fixture(params=["memory", "timescale"])
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    if request.param == "memory":
        both, away = InMemoryAccess(), InMemoryAccess()
        away.available = False
        yield Stores(both, both, both, away)
        return
    own = request.getfixturevalue("database")
    with as_owner(own) as connection, connection.cursor() as cursor:
        cursor.execute("truncate api_keys, audit_log")
    with (
        closing(TimescaleAccess(own)) as access,
        closing(TimescaleAccess(own.model_copy(update={"port": CLOSED_PORT}))) as away,
    ):
        yield Stores(access, TimescaleKeyKeeper(own), access, away)


def stored(name: str = "desk", now_us: int = NOW_US, **wish: Any) -> ApiKey:
    return make_key(Wish(name=name, role=Role.TRADER, **wish), PEPPER, by="cli:test", now_us=now_us)[1]


def test_keys_come_back_as_they_were_stored(stores: Stores) -> None:
    plain, full = stored(), stored("other", NOW_US + 1, scopes=frozenset({"rest", "graphql"}), expires_us=NOW_US + 5)
    for key in (full, plain):
        stores.keeper.add(key, entry(target=key.key_id))
    assert stores.keeper.all_keys() == [plain, full]
    assert {key.key_id: key for key in stores.reader.live_keys()} == {key.key_id: key for key in (plain, full)}
    assert {each.target for each in stores.trail.entries()} == {plain.key_id, full.key_id}


def test_the_same_id_twice_is_refused_and_recorded_once(stores: Stores) -> None:
    key = stored()
    stores.keeper.add(key, entry())
    with pytest.raises(StoreError):
        stores.keeper.add(replace(key, name="thief"), entry())
    assert stores.keeper.all_keys() == [key]
    assert len(stores.trail.entries()) == 1


def test_a_rotated_key_goes_on_for_a_while(stores: Stores) -> None:
    old, new = stored(), stored(now_us=NOW_US + 1)
    stores.keeper.add(old, entry())
    assert stores.keeper.replace(old.key_id, new, entry("keys.rotate", NOW_US + 1), ends_us=NOW_US + HOUR_US)
    assert stores.keeper.all_keys() == [replace(old, expires_us=NOW_US + HOUR_US), new]
    # Another rotation does not prolong it; one of a key that has ended, or is none, makes no key.
    third = stored(now_us=NOW_US + 2)
    assert stores.keeper.replace(old.key_id, third, entry("keys.rotate", NOW_US + 2), ends_us=NOW_US + 2 * HOUR_US)
    assert stores.keeper.all_keys()[0].expires_us == NOW_US + HOUR_US
    for gone in (old.key_id, "nobody"):
        late = entry("keys.rotate", NOW_US + HOUR_US)
        assert not stores.keeper.replace(gone, stored(), late, ends_us=NOW_US + 3 * HOUR_US)
    assert len(stores.keeper.all_keys()) == len(stores.trail.entries()) == 3


def test_a_key_is_revoked_once(stores: Stores) -> None:
    key = stored()
    stores.keeper.add(key, entry())
    assert stores.keeper.revoke(key.key_id, entry("keys.revoke", NOW_US + 9))
    assert not stores.keeper.revoke(key.key_id, entry("keys.revoke", NOW_US + 10))
    assert not stores.keeper.revoke("nobody", entry("keys.revoke"))
    assert not stores.keeper.replace(key.key_id, stored(), entry("keys.rotate"), ends_us=NOW_US + 1)
    assert [each.revoked_us for each in stores.reader.live_keys()] == [NOW_US + 9]
    assert len(stores.trail.entries()) == 2


def test_uses_never_go_back(stores: Stores) -> None:
    key, idle = stored(), stored("idle", NOW_US + 1)
    for each in (key, idle):
        stores.keeper.add(each, entry())
    for used_us in (NOW_US + 7, NOW_US + 3):
        stores.reader.note_uses({key.key_id: used_us, "nobody": used_us})
    stores.reader.note_uses({})
    assert [each.last_used_us for each in stores.keeper.all_keys()] == [NOW_US + 7, None]


def test_the_log_is_read_newest_first_and_filtered(stores: Stores) -> None:
    entries = [
        entry("POST /a", NOW_US, who="key:one", outcome="failed", detail={"status": 422, "text": "a\"b'c%s\\"}),
        entry("POST /b", NOW_US + 1, who="key:two", address="2001:db8::1", request_id="r1"),
        entry("keys.create", NOW_US + 2, who="key:one"),
    ]
    stores.trail.append(entries)
    stores.trail.append(entries[:1])
    stores.trail.append([replace(entries[1], outcome="failed")])  # the same entry
    stores.trail.append([])
    newest = entries[::-1]
    assert list(stores.trail.entries()) == newest
    assert list(stores.trail.entries(limit=1)) == newest[:1]
    assert list(stores.trail.entries(since_us=NOW_US + 1)) == newest[:2]
    assert list(stores.trail.entries(who="key:one")) == [newest[0], newest[2]]
    assert list(stores.trail.entries(action="POST ")) == newest[1:]
    assert list(stores.trail.entries(action="POST%")) == []


def test_an_absent_store_says_so(stores: Stores) -> None:
    for call in (stores.away.live_keys, stores.away.entries, lambda: stores.away.append([entry()])):
        with pytest.raises(StoreUnavailableError):
            call()


LEAST = [
    ("access", "select digest from api_keys", True),
    ("access", "update api_keys set last_used_time = now()", True),
    ("access", "update api_keys set role = 'admin'", False),
    ("access", "update api_keys set revoked_time = null", False),
    ("access", "insert into api_keys select * from api_keys", False),
    ("access", "delete from api_keys", False),
    ("access", "update audit_log set who = 'nobody'", False),
    ("access", "delete from audit_log", False),
    ("access", "truncate audit_log", False),
    ("access", "select * from tick_data", False),
    ("reader", "select key_id from api_keys", False),
    ("reader", "select * from audit_log", False),
    ("writer", "select key_id from api_keys", False),
    ("writer", "insert into audit_log select * from audit_log", False),
]


@pytest.mark.parametrize(("role", "statement", "allowed"), LEAST)
def test_each_role_may_do_its_own_and_no_more(
    database: PostgresSettings, role: Any, statement: str, allowed: bool
) -> None:
    with closing(connect(database, role, statement_seconds=10)) as connection, connection.cursor() as cursor:
        if allowed:
            cursor.execute(statement)
        else:
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute(statement)


def test_a_name_is_only_a_name(stores: Stores) -> None:
    wrong = entry(who="bobby'); drop table api_keys; --")
    stores.trail.append([wrong])
    assert list(stores.trail.entries(who=wrong.who)) == [wrong]
    assert stores.keeper.all_keys() == []
