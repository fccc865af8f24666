"""Dead letters on a real Kafka: looked through, and put back so that every trade is on `tick_data` once."""

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from marketstream.bootstrap import build_dead_letter_desk
from marketstream.bus.admin import ensure_topics
from marketstream.bus.publisher import KafkaPublisher
from marketstream.bus.topic_reader import ReadLimits, TopicReader
from marketstream.cli import app
from marketstream.contracts.dead_letters import LetterFilter, LetterId
from marketstream.contracts.messages import FETCHED_HEADER, DeadLetter
from marketstream.contracts.topics import DEAD_LETTERS, QUOTES, TICKS
from marketstream.domain.errors import BusError, StoreUnavailableError
from marketstream.domain.market import Tick
from marketstream.domain.outcomes import Reason, Rejected
from marketstream.providers.polygon.parse import parse_frame
from marketstream.settings import Settings
from marketstream.storage.timescale.turn import PublishingTurn
from past import PastStand, past_stand
from stores import environment

pytestmark = pytest.mark.servers

START_MS = 1_700_000_000_000


@pytest.fixture
def stand(server_settings: Callable[..., Settings]) -> Iterator[PastStand]:
    with past_stand(server_settings) as made:
        yield made


def element(symbol: str, number: int, **fields: Any) -> bytes:
    """One trade as Polygon sends it, without the array's brackets."""
    event = {"ev": "T", "sym": symbol, "x": 4, "i": str(number), "p": 1.5, "s": 1, "t": START_MS + number, "q": number}
    return orjson.dumps(event | fields)


def tick(symbol: str, number: int) -> Tick:
    (parsed,) = parse_frame(b"[" + element(symbol, number) + b"]", START_MS * 1_000)
    assert isinstance(parsed, Tick)
    return parsed


def letter(raw: bytes, symbol: str | None, reason: Reason = Reason.LATE, provider: str = "polygon") -> DeadLetter:
    return DeadLetter.of(
        Rejected(raw=raw, reason=reason, detail="11 s behind", provider=provider, received_time_us=5, symbol=symbol)
    )


def ids(ticks: list[Tick]) -> Counter[str]:
    return Counter(tick.trade_id for tick in ticks)


def each_once(numbers: range) -> Counter[str]:
    return Counter(f"4-{number}" for number in numbers)


def test_late_trades_are_put_back_exactly_once(stand: PastStand) -> None:
    symbol, other = stand.settings.symbols
    stand.put(*(tick(symbol, number) for number in range(10)))
    stand.put(*(letter(element(symbol, number), symbol) for number in range(5, 15)))
    stand.put(letter(element(symbol, 14), symbol), letter(element(other, 1), other))  # one of them a second time
    desk = build_dead_letter_desk(stand.settings)
    wanted = LetterFilter(reason=Reason.LATE, symbol=symbol)
    stand.wait_stored(symbol, 10)  # which a trial does not do

    tried = desk.reinject(wanted, dry_run=True)
    assert ids(stand.published(symbol)) == each_once(range(10))
    done = desk.reinject(wanted, dry_run=False)

    for result in (tried, done):
        assert {name: result.count(name) for name in ("published", "already_there", "refused")} == {  # type: ignore[arg-type]
            "published": 5,
            "already_there": 6,
            "refused": 0,
        }
    assert (tried.stored, done.stored, done.more) == (None, True, False)
    assert ids(stand.published(symbol)) == ids(stand.stored(symbol)) == each_once(range(15))
    assert not stand.published(other)
    assert {each.mark is None for each in desk.letters(wanted, 100).letters} == {False}
    assert [each.mark for each in desk.letters(LetterFilter(symbol=other), 100).letters] == [None]

    assert not desk.reinject(wanted, dry_run=False).treated  # a filter passes over what is done
    again = desk.reinject([LetterId.parse(each.letter_id) for each in done.treated], dry_run=False)
    assert again.count("already_there") == len(done.treated)
    assert ids(stand.published(symbol)) == each_once(range(15))


def test_what_is_put_back_tells_that_it_is_out_of_order(stand: PastStand) -> None:
    symbol, _ = stand.settings.symbols
    stand.put(letter(element(symbol, 1), symbol))
    build_dead_letter_desk(stand.settings).reinject(LetterFilter(symbol=symbol), dry_run=False)
    (message,) = stand.messages(TICKS, symbol)
    assert headers(stand.settings, message.partition, message.offset) == [(FETCHED_HEADER, b"1")]


def headers(settings: Settings, partition: int, offset: int) -> Any:
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": settings.kafka.bootstrap_servers, "group.id": "test-headers"})
    consumer.assign([TopicPartition(TICKS, partition, offset)])
    message = consumer.poll(30)
    consumer.close()
    assert message is not None
    assert message.error() is None
    return message.headers()


def test_several_at_once_do_not_double(stand: PastStand) -> None:
    symbol, _ = stand.settings.symbols
    stand.put(*(letter(element(symbol, number), symbol) for number in range(300)))
    results: list[int] = []

    def put_back() -> None:
        desk = build_dead_letter_desk(stand.settings)
        results.append(desk.reinject(LetterFilter(symbol=symbol), dry_run=False).count("published"))

    threads = [threading.Thread(target=put_back) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sum(results) == 300
    assert len(results) == 4
    assert ids(stand.published(symbol)) == each_once(range(300))


def test_what_is_still_wrong_is_said(stand: PastStand) -> None:
    symbol, other = stand.settings.symbols
    frame = b"[" + element(other, 1) + b"," + element(other, 2) + b"]"
    quote = orjson.dumps(
        {
            "symbol": other, "bid_price": 1.0, "bid_size": 1.0, "ask_price": 2.0, "ask_size": 1.0,
            "event_time_us": 5, "received_time_us": 5, "provider": "polygon",
        }
    )  # fmt: skip
    writers_letter = Rejected(
        raw=quote,
        reason=Reason.UNDECODABLE,
        detail=f"{QUOTES}[0]@17: unknown field",
        provider="timescale-writer",
        received_time_us=5,
        symbol=other,
    )
    stand.put(
        letter(b"garbage", symbol, Reason.MALFORMED),
        letter(element("NOBODY", 1), symbol, Reason.UNKNOWN_SYMBOL),
        letter(element(symbol, 1, p=-1), symbol, Reason.NON_POSITIVE_PRICE),
        letter(b"x" * 2_000_000, symbol, Reason.OVERSIZED),
        letter(element(symbol, 1), symbol, provider="nobody"),
        letter(frame, other),
        DeadLetter.of(writers_letter),
    )
    desk = build_dead_letter_desk(stand.settings)
    refused = desk.reinject(LetterFilter(symbol=symbol), dry_run=False)
    details = " ".join(each.detail for each in refused.treated)
    assert refused.count("refused") == len(refused.treated) == 5
    for said in ("malformed", "NOBODY is none of", "non_positive_price", "2000000 bytes", "no adapter named nobody"):
        assert said in details
    assert {each.mark for each in desk.letters(LetterFilter(symbol=symbol), 9).letters} == {None}

    done = desk.reinject(LetterFilter(symbol=other), dry_run=False)
    assert [each.published for each in done.treated] == [2, 1]
    assert ids(stand.published(other)) == Counter({"4-1": 1, "4-2": 1})
    assert [message.value for message in stand.messages(QUOTES, other)] == [
        orjson.dumps(orjson.loads(quote) | {"sequence": 0, "asset_class": "equity", "exchange": None})
    ]
    gone = desk.reinject([LetterId(0, 10**9)], dry_run=False)
    assert "no dead letter at this place" in gone.treated[0].detail


def test_letters_are_found_from_the_newest_back(stand: PastStand) -> None:
    symbol, other = stand.settings.symbols
    stand.put(*(letter(b"x" * 2_000, symbol, Reason.MALFORMED) for _ in range(3_000)))
    middle_us = (time.time_ns() // 1_000_000 + 1) * 1_000
    while time.time_ns() // 1_000 < middle_us:
        pass  # until the next millisecond begins
    # One more than is asked for: letters of one millisecond have no order that would let the search end.
    stand.put(*(letter(b"y", other, Reason.MALFORMED, "fmp") for _ in range(4)), letter(b"z", other))
    desk = build_dead_letter_desk(stand.settings)

    newest = desk.letters(LetterFilter(), 4)
    assert [each.letter.symbol for each in newest.letters] == [other] * 4
    assert newest.more
    assert newest.scanned < desk.letters(LetterFilter(), 10_000).scanned - 100  # it stopped long before the oldest
    own = desk.letters(LetterFilter(symbol=symbol), 10_000)
    times = [each.time_us for each in own.letters]
    assert len(times) == 3_000
    assert times == sorted(times, reverse=True)
    assert not own.more
    late = desk.groups(LetterFilter(symbol=other, since_us=middle_us)).groups
    assert [(group.reason, group.provider, group.count) for group in late] == [
        (Reason.MALFORMED, "fmp", 4),
        (Reason.LATE, "polygon", 1),
    ]
    assert desk.groups(LetterFilter(symbol=symbol, since_us=middle_us)).groups == []
    found = desk.letter(LetterId.parse(late[1].example_id))
    assert found is not None
    assert found.letter.raw == "z"


def test_a_reading_ends_at_its_limits(kafka_settings: Settings) -> None:
    broker, topic = kafka_settings.kafka.bootstrap_servers, f"t-{uuid.uuid4().hex}"
    ensure_topics(broker, (topic,), 1)
    publisher = KafkaPublisher(broker)
    for number in range(500):
        publisher.publish(topic, None, str(number).encode())
    assert publisher.flush(30) == 0

    def read(limits: ReadLimits) -> tuple[set[int], bool]:
        reader = TopicReader(broker, topic, limits)
        reading = reader.reading()
        found = [int(message.value) for part in reader.rounds(reading) for message in part.messages]
        assert len(set(found)) == len(found)
        return set(found), reading.complete

    newest, complete = read(ReadLimits(messages=100))
    assert newest == set(range(500 - len(newest), 500))
    assert 100 <= len(newest) < 500
    assert not complete
    assert read(ReadLimits()) == (set(range(500)), True)
    assert read(ReadLimits(seconds=0)) == (set(), False)


def test_while_somebody_else_publishes_it_waits_and_then_says_so(stand: PastStand) -> None:
    held = PublishingTurn(stand.settings.postgres)
    waiting = PublishingTurn(stand.settings.postgres, wait_seconds=0.1)
    with held.take(), pytest.raises(StoreUnavailableError, match="another backfill or re-injection"), waiting.take():
        pass
    with waiting.take() as confirm:
        confirm()


def test_a_broker_that_is_away_is_said_to_be_away() -> None:
    reader = TopicReader("127.0.0.1:1", DEAD_LETTERS)
    with pytest.raises(BusError, match=r"127\.0\.0\.1:1"):
        reader.message(0, 0)


def test_the_commands(stand: PastStand, monkeypatch: pytest.MonkeyPatch) -> None:
    symbol, other = stand.settings.symbols
    stand.put(letter(element(symbol, 1), symbol), letter(b"[red]\x1b[2Jgarbage", symbol, Reason.MALFORMED))
    for name, value in environment(stand.settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MARKETSTREAM_SYMBOLS", f"{symbol},{other}")

    def run(*arguments: str) -> tuple[int, str]:
        outcome = CliRunner().invoke(app, ["dead-letters", *arguments], env={"COLUMNS": "300"})
        return outcome.exit_code, outcome.output

    code, text = run("list", "--symbol", symbol.lower(), "--json")
    listed = orjson.loads(text)["letters"]
    assert (code, len(listed)) == (0, 2)
    assert "malformed" in run("list", "--symbol", symbol)[1]
    assert "late" in run("groups", "--symbol", symbol, "--since", "1h")[1]
    malformed = next(each["letter_id"] for each in listed if each["letter"]["reason"] == "malformed")
    code, text = run("show", malformed)
    assert (code, "\x1b" in text, "[red]\\x1b[2Jgarbage" in text) == (0, False, True)
    assert run("show", "0:999999999")[0] == 1
    assert run("show", "nonsense")[0] == 2
    assert run("reinject")[0] == 2

    code, text = run("reinject", "--symbol", symbol)
    assert code == 1
    assert "1 published, 0 already there, 1 still refused" in text
    late = next(each["letter_id"] for each in listed if each["letter"]["reason"] == "late")
    code, text = run("reinject", late, "--json")
    assert (code, orjson.loads(text)["treated"][0]["treatment"]) == (0, "already_there")
    assert ids(stand.published(symbol)) == {"4-1": 1}
