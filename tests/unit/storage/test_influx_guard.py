"""The guard asks the store about a bar once, remembers, and lets only newer versions through."""

from collections.abc import Collection, Mapping

from marketstream.domain.market import Bar
from marketstream.storage.decoding import BarKey
from marketstream.storage.influx.guard import Version, VersionGuard
from stores import MINUTE_US, make_bar, make_indicators, make_provider_bar

START_US = 1_381_152_600_000_000


class Stored:
    """A store's versions, and every question that was asked."""

    def __init__(self, versions: Mapping[BarKey, Version] | None = None) -> None:
        self.versions = dict(versions or {})
        self.questions: list[list[BarKey]] = []

    def __call__(self, keys: Collection[BarKey]) -> Mapping[BarKey, Version]:
        self.questions.append(list(keys))
        return {key: self.versions[key] for key in keys if key in self.versions}


def keyed(*bars: Bar) -> dict[BarKey, Bar]:
    return {(bar.symbol, bar.interval, bar.start_us): bar for bar in bars}


KEY = ("IBM", "1min", START_US)


def test_what_the_store_has_not_may_pass() -> None:
    stored = Stored()
    bars = keyed(make_bar(START_US, 1))

    assert VersionGuard(stored).newer(bars) == bars
    assert stored.questions == [[KEY]]


def test_an_older_version_than_the_stored_one_may_not() -> None:
    guard = VersionGuard(Stored({KEY: (True, 5, 0, False, 0)}))

    assert guard.newer(keyed(make_bar(START_US, 4))) == {}
    assert guard.newer(keyed(make_bar(START_US, 5))) == {}
    assert guard.newer(keyed(make_bar(START_US, 5, final=True))) == keyed(make_bar(START_US, 5, final=True))
    assert guard.newer(keyed(make_bar(START_US, 6))) == keyed(make_bar(START_US, 6))


def test_a_bar_made_here_passes_a_providers_and_never_the_other_way_round() -> None:
    computed, of_provider = make_bar(START_US, 1), make_provider_bar(START_US, START_US + 5)

    assert VersionGuard(Stored({KEY: of_provider.version[1:]})).newer(keyed(computed)) == keyed(computed)
    assert VersionGuard(Stored({KEY: computed.version[1:]})).newer(keyed(of_provider)) == {}


def test_a_bar_without_its_cancelled_trades_outranks_the_one_with_them() -> None:
    stored = make_bar(START_US, 5, final=True, revision=3)
    guard = VersionGuard(Stored({KEY: stored.version[1:]}))
    corrected = make_bar(START_US, 4, cancelled=1)

    assert guard.newer(keyed(corrected)) == keyed(corrected)
    guard.remember(keyed(corrected))
    assert guard.newer(keyed(stored)) == {}
    assert guard.newer(keyed(make_bar(START_US, 6))) == keyed(make_bar(START_US, 6))


def test_indicators_of_the_same_version_may_pass_again() -> None:
    said = {KEY: make_indicators(make_bar(START_US, 5))}
    guard = VersionGuard(Stored({KEY: (True, 5, 0, False, 0)}), equals_pass=True)

    assert guard.newer(said) == said
    guard.remember(said)
    assert guard.newer(said) == said
    assert guard.newer({KEY: make_indicators(make_bar(START_US, 4))}) == {}


def test_the_store_is_asked_once_per_bar() -> None:
    stored = Stored()
    guard = VersionGuard(stored)
    for count in (1, 2, 3):
        bars = keyed(make_bar(START_US, count))
        assert guard.newer(bars) == bars
        guard.remember(bars)

    assert guard.newer(keyed(make_bar(START_US, 2))) == {}
    assert stored.questions == [[KEY]]


def test_what_could_not_be_stored_is_not_remembered() -> None:
    guard = VersionGuard(Stored())
    bars = keyed(make_bar(START_US, 1))
    guard.newer(bars)

    assert guard.newer(bars) == bars


def test_what_is_forgotten_is_asked_for_again() -> None:
    stored = Stored()
    guard = VersionGuard(stored, capacity=2)
    for number in range(3):
        bars = keyed(make_bar(START_US + number * MINUTE_US, 4))
        guard.newer(bars)
        guard.remember(bars)
    stored.versions[KEY] = (True, 4, 0, False, 0)

    assert guard.newer(keyed(make_bar(START_US, 3))) == {}
    assert stored.questions[-1] == [KEY]
