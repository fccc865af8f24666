"""What clients may say, and how they are told what is wrong."""

import orjson
import pytest

from marketstream.serving.websocket.client import text_frame
from marketstream.serving.websocket.protocol import (
    CLOSE_CODES,
    Close,
    Fault,
    RequestError,
    Subscribe,
    Unsubscribe,
    error_message,
    parse,
)
from marketstream.serving.websocket.updates import Channel


def test_a_subscription_is_read_with_its_defaults() -> None:
    asked = parse(b'{"type":"subscribe","symbols":["aapl","AAPL","ibm"]}')
    assert asked == Subscribe(type="subscribe", symbols=["AAPL", "IBM"], channels=[Channel.TICKS])
    assert (asked.conflate_ms, asked.snapshot, asked.history, asked.intervals) == (0, True, 1, None)


def test_an_unsubscription_without_channels_is_of_all() -> None:
    asked = parse(b'{"type":"unsubscribe","symbols":["*"]}')
    assert isinstance(asked, Unsubscribe)
    assert asked.channels == list(Channel)


@pytest.mark.parametrize(
    ("text", "fault", "said"),
    [
        ("nonsense", Fault.BAD_MESSAGE, "not JSON"),
        (b"\xff\xfe", Fault.BAD_MESSAGE, "not JSON"),
        ("[]", Fault.BAD_MESSAGE, "JSON object"),
        ("{}", Fault.UNKNOWN_TYPE, "is missing, but can be subscribe"),
        ('{"type":["a"]}', Fault.UNKNOWN_TYPE, "['a']"),
        ('{"type":"subscribe"}', Fault.BAD_MESSAGE, "`symbols`: Field required"),
        ('{"type":"subscribe","symbols":[]}', Fault.BAD_MESSAGE, "`symbols`"),
        ('{"type":"subscribe","symbols":["A"],"channels":["trades"]}', Fault.BAD_MESSAGE, "'ticks', 'bars'"),
        ('{"type":"subscribe","symbols":["A"],"channel":["ticks"]}', Fault.BAD_MESSAGE, "`channel`: Extra"),
        ('{"type":"subscribe","symbols":[7]}', Fault.BAD_MESSAGE, "`symbols.0`"),
        ('{"type":"subscribe","symbols":["A"],"conflate_ms":-1}', Fault.BAD_MESSAGE, "`conflate_ms`"),
        ('{"type":"subscribe","symbols":["A"],"history":21}', Fault.BAD_MESSAGE, "`history`"),
        ('{"type":"subscribe","symbols":["A"],"intervals":["7min"]}', Fault.BAD_MESSAGE, "does not divide a day"),
        ('{"type":"resume","session":"x","seq":-1}', Fault.BAD_MESSAGE, "`seq`"),
    ],
)
def test_what_is_wrong_is_said(text: str | bytes, fault: Fault, said: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse(text)
    assert caught.value.fault is fault
    assert said in str(caught.value)
    assert orjson.loads(error_message(caught.value))["code"] == fault


def test_an_error_carries_the_id_of_the_message() -> None:
    with pytest.raises(RequestError) as caught:
        parse(b'{"type":"subscribe","id":7,"symbols":[]}')
    assert orjson.loads(error_message(caught.value))["id"] == 7


def test_a_token_is_never_repeated() -> None:
    with pytest.raises(RequestError) as caught:
        parse(b'{"type":"auth","token":"s3cret","more":1}')
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(parse(b'{"type":"auth","token":"s3cret"}'))


def test_every_ending_has_its_code() -> None:
    assert CLOSE_CODES.keys() == set(Close)


@pytest.mark.parametrize(("size", "head"), [(125, 2), (126, 4), (65_535, 4), (65_536, 10)])
def test_frames_tell_their_length(size: int, head: int) -> None:
    frame = text_frame(b"x" * size)
    assert len(frame) == head + size
    told = frame[1] if head == 2 else int.from_bytes(frame[2:head], "big")
    assert told == size
