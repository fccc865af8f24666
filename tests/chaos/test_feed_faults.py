"""The whole platform while its feed is cut, stalled, garbled and killed: each is there once, or admitted missing."""

import random
import time
from dataclasses import dataclass, field

import polars as pl
import pytest

from kept import bars_in_database, query
from marketstream.testing.platform import Platform, eventually
from marketstream.testing.replay.remote import ReplayControl
from oracle import INTERVAL_US, differences, expected_bars

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1_500)]

SYMBOLS = {
    "binance": [f"S{number:02d}USDT" for number in range(20)],
    "polygon": [f"SYM{letter}" for letter in "ABCDEFGHIJKLMNOPQRST"],
}
PATHS = {"binance": "", "polygon": "/stocks"}
SETTLE_SECONDS = 400


@dataclass
class Faults:
    """Does one thing at a time to the platform's feed, and remembers what."""

    platform: Platform
    control: ReplayControl
    provider: str
    chance: random.Random
    done: list[str] = field(default_factory=list)

    def kinds(self):
        own = ("drop", "stall", "half_open", "duplicate", "reorder", "gap", "garbage", "quota", "restart", "kill")
        return (*own, "silent", "repeat", "rest_away", "refuse_connections", "announce_stop")

    def order(self, count):
        """Each kind as often as any other; a kill is among them however few there are."""
        others = [kind for kind in self.kinds() if kind != "kill"]
        self.chance.shuffle(others)
        order = (["kill", *others] * count)[:count]
        self.chance.shuffle(order)
        return order

    def inject(self, kind):
        seconds = self.chance.uniform(2, 6)
        said = getattr(self, f"_{kind}", None)
        if said is not None:
            said(seconds)
        else:
            getattr(self.control, kind)(provider=self.provider)
        self.done.append(kind)

    def _state(self, seconds, **states):
        self.control.set_states(self.provider, seconds=seconds, **states)

    def _stall(self, seconds):
        self.control.stall(seconds, self.provider)

    def _duplicate(self, seconds):
        self._state(seconds, duplicate=True)

    def _reorder(self, seconds):
        self._state(seconds, reorder=self.chance.randint(2, 20))

    def _gap(self, _seconds):
        self.control.gap(self.chance.randint(1, 500), provider=self.provider)

    def _garbage(self, _seconds):
        self.control.garbage(20, self.provider)

    def _repeat(self, _seconds):
        self.control.repeat(100, self.provider)

    def _quota(self, seconds):
        self._state(seconds, quota="burst", retry_after_seconds=2.0)

    def _silent(self, seconds):
        self._state(seconds, silent=True)

    def _rest_away(self, seconds):
        self._state(seconds, rest_away=True)
        self.control.gap(50, provider=self.provider)

    def _refuse_connections(self, seconds):
        self._state(seconds, refuse_connections=True)
        self.control.drop(self.provider)

    def _restart(self, seconds):
        self.control.restart(seconds)

    def _kill(self, _seconds):
        self.platform.kill("producer")


@pytest.fixture
def platform(tmp_path, provider, pytestconfig):
    platform = Platform(
        tmp_path / "data",
        {
            "PROVIDERS": provider,
            f"{provider.upper()}__API_KEY": "replay",
            "SYMBOLS": ",".join(SYMBOLS[provider]),
            "REPLAY__TICKS_PER_SECOND": str(pytestconfig.getoption("--chaos-rate")),
            "REPLAY__ADMIN": "true",
        },
    )
    at = f"127.0.0.1:{platform.environment['MARKETSTREAM_REPLAY__PORT']}"
    platform.environment[f"MARKETSTREAM_{provider.upper()}__WEBSOCKET_URL"] = f"ws://{at}{PATHS[provider]}"
    platform.environment[f"MARKETSTREAM_{provider.upper()}__REST_URL"] = f"http://{at}"
    with platform:
        yield platform


def pytest_generate_tests(metafunc):
    if "provider" in metafunc.fixturenames:
        metafunc.parametrize("provider", metafunc.config.getoption("--chaos-providers").split(","))


def test_every_trade_is_stored_once_or_admitted_missing(platform, provider, pytestconfig):
    control = ReplayControl(f"ws://127.0.0.1:{platform.settings.replay.port}")
    faults = Faults(platform, control, provider, random.Random(pytestconfig.getoption("--chaos-seed")))
    eventually(lambda: query(platform, "select 1 from tick_data limit 1") or None, within_seconds=60, what="trades")
    count, seconds = pytestconfig.getoption("--chaos-faults"), pytestconfig.getoption("--chaos-seconds")
    for kind in faults.order(count):
        faults.inject(kind)
        time.sleep(seconds / count)
    control.clear()
    played = {symbol: control.played(symbol) for symbol in SYMBOLS[provider]}
    told = f"after {', '.join(faults.done)}"
    try:
        eventually(lambda: not lost(platform, played), within_seconds=SETTLE_SECONDS, what=told, every_seconds=2.0)
    except TimeoutError:
        assert lost(platform, played) == {}, told
    stop(control, provider)
    check_once(platform, control, provider)
    check_bars(platform)
    print(f"{provider}: {told}: {sum(map(len, played.values()))} trades, {admitted(platform)}")  # noqa: T201  # a figure


def lost(platform, played):
    """Trades played that are neither stored nor recorded as unfillable, by symbol."""
    found = {}
    for symbol, sequence in query(platform, "select symbol, sequence from tick_data"):
        found.setdefault(symbol, set()).add(sequence)
    for symbol, first, last, _ in admitted(platform):
        if first is None:
            continue  # a time without a number of trades excuses none of them
        found.setdefault(symbol, set()).update(range(first, last + 1))
    missing = {symbol: sorted(numbers - found.get(symbol, set())) for symbol, numbers in played.items()}
    return {symbol: numbers for symbol, numbers in missing.items() if numbers}


def admitted(platform):
    return query(platform, "select symbol, first_id, last_id, detail from feed_gaps where state = 'unfillable'")


def stop(control, provider):
    """Lets nothing more come, and waits until all that came is stored."""
    control.set_states(provider, silent=True, refuse_connections=True, rest_away=True)


def check_once(platform, control, provider):
    (counts,) = query(
        platform,
        "select count(*), count(distinct (symbol, trade_id)), count(distinct (symbol, sequence)) from tick_data",
    )
    assert len(set(counts)) == 1
    for symbol in SYMBOLS[provider]:
        stored = {row[0] for row in query(platform, "select sequence from tick_data where symbol = %s", symbol)}
        assert stored <= control.played(symbol)


def check_bars(platform):
    """Every bar, though its trades came late, twice or by REST, is that of the stored trades."""

    def settled():
        ticks = query(platform, "select count(*) from tick_data")[0][0]
        rows = query(platform, "select interval, sum(trade_count) from aggregated_data group by interval")
        return {interval: int(count) for interval, count in rows} == dict.fromkeys(INTERVAL_US, ticks)

    eventually(settled, within_seconds=SETTLE_SECONDS, what="bars of all trades", every_seconds=1.0)
    columns = ["symbol", "event_time_us", "sequence", "price", "size"]
    rows = query(
        platform,
        "select symbol, (extract(epoch from event_time) * 1000000)::bigint, sequence, price, size from tick_data",
    )
    trades = pl.DataFrame(rows, schema=columns, orient="row")
    for interval in INTERVAL_US:
        assert differences(expected_bars(trades, interval), bars_in_database(platform, interval)) == []
