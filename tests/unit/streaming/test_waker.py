"""A query is woken every few seconds, and a broker that is away only makes it wait."""

from marketstream.contracts.messages import SCHEMAS
from marketstream.domain.errors import BusBackpressureError
from marketstream.streaming.waker import Waker


class FakePublisher:
    """Keeps what is published, unless it is full."""

    def __init__(self):
        self.sent, self.full = [], False

    def publish(self, topic, key, value, headers=None):
        if self.full:
            raise BusBackpressureError(0.01)
        self.sent.append((topic, key, value, headers))


def test_a_wake_every_five_seconds():
    now, publisher = [100.0], FakePublisher()
    waker = Waker("indicators", publisher, lambda: now[0])
    sent = []
    for _ in range(12):
        waker.look()
        sent.append(len(publisher.sent))
        now[0] += 1
    assert sent == [1] * 5 + [2] * 5 + [3] * 2
    topic, key, value, _ = publisher.sent[0]
    assert (topic, key) == ("query_wakes", "indicators")
    assert SCHEMAS["query_wake"].validate_json(value).query == "indicators"


def test_a_full_queue_is_no_error_and_wakes_go_on_afterwards():
    now, publisher = [0.0], FakePublisher()
    waker = Waker("indicators", publisher, lambda: now[0])
    publisher.full = True
    waker.look()
    publisher.full = False
    waker.look()
    assert publisher.sent == []
    now[0] = 5.0
    waker.look()
    assert len(publisher.sent) == 1
