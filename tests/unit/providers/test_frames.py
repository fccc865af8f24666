"""Array frames are cut into their elements' own bytes."""

import pytest

from marketstream.providers.frames import split_array


@pytest.mark.parametrize(
    ("raw", "elements"),
    [
        (b"[]", []),
        (b" [ 1 , 2 ] ", [b"1", b"2"]),
        (b'[{"a":[1,2]},{"b":"],["}]', [b'{"a":[1,2]}', b'{"b":"],["}']),
        (b'["a\\",b"]', [b'"a\\",b"']),
        (b'["\\\\","x"]', [b'"\\\\"', b'"x"']),
        (b"[1,,2]", [b"1", b"", b"2"]),
        (b"[1,]", [b"1", b""]),
        (b"[\xff,2]", [b"\xff", b"2"]),
    ],
)
def test_elements_keep_their_bytes(raw: bytes, elements: list[bytes]) -> None:
    assert split_array(raw) == elements


@pytest.mark.parametrize("raw", [b"", b"x", b"{}", b"[", b"[1", b'["a]', b"[1]x", b"[1][2]", b"[[1]", b"1]"])
def test_what_is_no_complete_array_has_none(raw: bytes) -> None:
    assert split_array(raw) is None
