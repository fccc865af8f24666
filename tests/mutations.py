"""Damages JSON frames: by their bytes, and by their members and values without writing the JSON anew.

What is put in needs not be JSON, an object may get the same key twice, and each damage costs microseconds. The same
seed gives the same frames.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

# Stands for an API key; longer than any symbol, so that no message may quote it as one.
KEY = "KEY-0123456789abcdefghijklmnopqrstuvwxyz"

_Span = tuple[int, int]
_NEXT = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()
_NUMBERS = """
    0 -0 -0.0 1 -1 7 1.5 -1.5 1e400 -1e400 1e-400 5e-324 1e308 -1e308 1e15 1.0000001e15 1e22 0.1e1 1E5 01 +1 .5 1. 1_0
    NaN -NaN Infinity -Infinity 0x10 2147483647 2147483648 9007199254740991 9007199254740992 9223372036854775807
    9223372036854775808 -9223372036854775808 1180591620717411303424 -1180591620717411303424 1714500000 1714500000000
    1714500000000000 1714500000000000000 1714499999.999 253402300800 -1536036818784 631151999999 1893456000000
"""
_TEXTS = """
    x 1 -1 0 -0 1e400 1e999 -1e5 NaN Infinity -Infinity 1_0 0x10 T Q B AM A aggTrade kline bookTicker bars 1m 1d 1M 7min
    AAPL BTCUSDT btcusdt@aggTrade !miniTicker@arr GBP/USD XAUUSD 0001-01-01 9999-12-31T23:59:59.999999999-23:59
    1969-12-31T23:59:59Z 2024-02-30 2024-04-30T12:00:00+99:99 2024-04-30T12:00:00.123456789Z 00:00 1714500000.5
    \\ud800 \\udc00\\ud800 \\u0000 \\u0661 \\x
"""
_ODD = [b"null", b"true", b"false", b"[]", b"{}", b"[[]]", b'""', b'" "', b"[null]", b'{"s":{"s":"x"}}', b"", b'"']
_BYTES = [b'"\xff"', b'"\xed\xa0\x80"', b'"\x00"', b'"\xc3\x28"', b'"\xf0\x9f\x98\x80"', b'"\n"', b"\xef\xbb\xbf1"]
NUMBERS = [number.encode() for number in _NUMBERS.split()]
TEXTS = [b'"%b"' % text.encode() for text in _TEXTS.split()]
TOKENS = [
    *NUMBERS,
    *TEXTS,
    *_ODD,
    *_BYTES,
    b'"2024-04-30 11:55:00"',
    b'"%b"' % KEY.encode(),
    b'{"apikey":"%b"}' % KEY.encode(),
]
# Long ones, which cost most of the time a parser takes.
HUGE = [
    b"[" * 5_000,
    b"[" * 190 + b"]" * 190,
    b"[" * 300 + b"]" * 300,
    b'{"data":' * 300 + b"1" + b"}" * 300,
    b'"%b"' % (b"A" * 100_000),
    b'"%b"' % (b"\\u0001" * 30_000),
    b"9" * 5_000,
    b'"%b"' % (b"9" * 5_000),
    b"[%b0]" % (b"0," * 8_000),
    b"1." + b"3" * 20_000,
]


@dataclass(slots=True)
class Seed:
    """A whole frame and where its parts lie; a frame that is no JSON has none.

    Attributes:
        text: The frame.
        values: Every value, of arrays and objects as of numbers.
        keys: Every key, with its quotes.
        members: By object or array of at least one, its members: of an object with their keys.
    """

    text: bytes
    values: list[_Span] = field(default_factory=list)
    keys: list[_Span] = field(default_factory=list)
    members: list[list[_Span]] = field(default_factory=list)

    @classmethod
    def of(cls, frame: bytes) -> "Seed":
        """Finds the parts of a frame."""
        try:
            text = json.dumps(json.loads(frame), separators=(",", ":"))
        except ValueError:
            return cls(frame)
        seed = cls(text.encode())
        seed._walk(text, 0)
        return seed

    def _walk(self, text: str, start: int) -> int:
        _, end = _DECODER.raw_decode(text, start)
        self.values.append((start, end))
        if text[start] not in "[{" or end - start == 2:
            return end
        found: list[_Span] = []
        at = start + 1
        while at < end:
            first = at
            if text[start] == "{":
                _, after = _DECODER.raw_decode(text, at)
                self.keys.append((at, after))
                at = after + 1
            at = self._walk(text, at)
            found.append((first, at))
            at += 1
        self.members.append(found)
        return end


class Mutator:
    """An endless source of damaged frames.

    Args:
        frames: What is damaged; every kind of frame once.
        seed: Chooses one of all possible sequences.
    """

    def __init__(self, frames: Sequence[bytes], seed: int) -> None:
        self._seeds = [Seed.of(frame) for frame in frames]
        self._random = Random(seed)
        self._by_parts: Sequence[Callable[[Seed], bytes]] = (
            *([self._with_values] * 12),
            *([self._with_keys] * 2),
            self._without_a_member,
            self._with_a_member_twice,
            self._with_members_swapped,
        )
        self._by_bytes: Sequence[Callable[[bytes], bytes]] = (
            self._flipped,
            self._flipped,
            self._truncated,
            self._spliced,
            self._cut,
            self._stuttering,
            self._stained,
        )

    def frames(self, count: int) -> Iterator[bytes]:
        """So many frames; some of them whole."""
        random, choice = self._random.random, self._random.choice
        for _ in range(count):
            seed = choice(self._seeds)
            frame, chance = seed.text, random()
            if chance < 0.75 and seed.members:
                frame = choice(self._by_parts)(seed)
            if chance > 0.72 and chance < 0.87:
                frame = choice(self._by_bytes)(frame)
            yield frame

    def _token(self, old: bytes) -> bytes:
        chance = self._random.random()
        if chance < 0.004:
            return self._random.choice(HUGE)
        if chance < 0.3:
            return self._swapped(old)
        like = TEXTS if old[:1] == b'"' else NUMBERS if old[:1] in b"-0123456789" else TOKENS
        return self._random.choice(like if chance < 0.75 else TOKENS)

    def _swapped(self, old: bytes) -> bytes:
        """The same value as another type, or near itself."""
        bare = old[1:-1] if old[:1] == b'"' else old
        if old[:1] == b"[" and len(old) < 40 and self._random.random() < 0.3:
            return b"[%b%b]" % ((old[1:-1] + b",") * 700, old[1:-1])
        texts = (b'"%b"' % bare, bare, b"-" + bare, bare + b"000", bare[:-3], b"1" + old)
        return self._random.choice((*texts, b"[%b]" % old, b'{"a":%b}' % old))

    def _with_values(self, seed: Seed) -> bytes:
        return self._replaced(seed.text, seed.values, self._random.choice((1, 1, 1, 2, 3)))

    def _with_keys(self, seed: Seed) -> bytes:
        return self._replaced(seed.text, seed.keys or seed.values, 1)

    def _replaced(self, text: bytes, spans: list[_Span], count: int) -> bytes:
        end_of_rest = len(text) + 1
        for start, end in sorted((self._random.choice(spans) for _ in range(count)), reverse=True):
            if end < end_of_rest:
                text, end_of_rest = text[:start] + self._token(text[start:end]) + text[end:], start
        return text

    def _without_a_member(self, seed: Seed) -> bytes:
        text, members = seed.text, self._random.choice(seed.members)
        start, end = self._random.choice(members)
        if end < members[-1][1]:
            return text[:start] + text[end + 1 :]
        return text[: start - (len(members) > 1)] + text[end:]

    def _with_a_member_twice(self, seed: Seed) -> bytes:
        text, members = seed.text, self._random.choice(seed.members)
        (start, end), (first, _) = self._random.choice(members), self._random.choice(members)
        again = text[start:end]
        key, colon, value = again.partition(b":")
        if colon and self._random.random() < 0.7:
            again = key + colon + self._token(value)
        return text[:first] + again + b"," + text[first:]

    def _with_members_swapped(self, seed: Seed) -> bytes:
        text, members = seed.text, self._random.choice(seed.members)
        one, other = sorted((self._random.choice(members), self._random.choice(members)))
        if one == other:
            return text
        between, rest = text[one[1] : other[0]], text[other[1] :]
        return text[: one[0]] + text[other[0] : other[1]] + between + text[one[0] : one[1]] + rest

    def _place(self, text: bytes | bytearray) -> int:
        return int(self._random.random() * len(text))

    def _flipped(self, text: bytes) -> bytes:
        damaged = bytearray(text or b"x")
        for _ in range(self._random.choice((1, 1, 2, 8))):
            damaged[self._place(damaged)] ^= 1 << int(self._random.random() * 8)
        return bytes(damaged)

    def _truncated(self, text: bytes) -> bytes:
        at = self._place(text)
        return text[:at] if self._random.random() < 0.7 else text[at:]

    def _spliced(self, text: bytes) -> bytes:
        other = self._random.choice(self._seeds).text
        return text[: self._place(text)] + other[self._place(other) :]

    def _cut(self, text: bytes) -> bytes:
        at = self._place(text)
        return text[:at] + text[at + self._random.choice((1, 2, 5, 20)) :]

    def _stuttering(self, text: bytes) -> bytes:
        one, other = sorted((self._place(text), self._place(text)))
        return text[:other] + text[one:]

    def _stained(self, text: bytes) -> bytes:
        at = self._place(text)
        return text[:at] + self._random.choice(TOKENS) + text[at:]
