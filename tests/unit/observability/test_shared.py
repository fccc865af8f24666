"""One question for many figures: an answer is good for a while, and so is a refusal."""

import pytest

from marketstream.domain.errors import StoreUnavailableError
from marketstream.observability.shared import Shared


class Store:
    def __init__(self) -> None:
        self.asked = 0
        self.away = False

    def __call__(self) -> int:
        self.asked += 1
        if self.away:
            raise StoreUnavailableError(f"away, asked {self.asked} times")
        return self.asked


def test_it_asks_anew_only_when_its_answer_is_old() -> None:
    now, store = [0.0], Store()
    shared = Shared(store, 5.0, lambda: now[0])
    assert [shared.get(), shared.get()] == [1, 1]
    now[0] = 4.9
    assert shared.get() == 1
    now[0] = 5.0
    assert shared.get() == 2


def test_a_refusal_is_told_to_everyone_and_asked_about_later() -> None:
    now, store = [0.0], Store()
    store.away = True
    shared = Shared(store, 5.0, lambda: now[0])
    for _ in range(3):
        with pytest.raises(StoreUnavailableError, match="asked 1 times"):
            shared.get()
    store.away, now[0] = False, 6.0
    assert shared.get() == 2
