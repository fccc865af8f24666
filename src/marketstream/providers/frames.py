"""Cuts a JSON array frame into its elements' own bytes, so that one bad element is refused alone."""

import re

# A whole string, a bracket, a comma, or a quote that opens a string which never ends.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{},"]', re.DOTALL)


def split_array(raw: bytes) -> list[bytes] | None:
    """The bytes of each element of a top-level JSON array, without surrounding blanks.

    Only strings, brackets and commas are looked at: an element may still be no JSON. Any bytes are taken, also such as
    are not UTF-8.

    Returns:
        The elements, or None when the bytes are no complete array.
    """
    text = raw.strip()
    if not text.startswith(b"["):
        return None
    elements: list[bytes] = []
    depth, start = 0, 1
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token in (b"[", b"{"):
            depth += 1
        elif token in (b"]", b"}"):
            depth -= 1
            if depth == 0:
                return _close(elements, text[start : match.start()], is_last=match.end() == len(text))
        elif token == b"," and depth == 1:
            elements.append(text[start : match.start()].strip())
            start = match.end()
        elif token == b'"':
            return None
    return None


def _close(elements: list[bytes], last: bytes, *, is_last: bool) -> list[bytes] | None:
    if not is_last:
        return None
    last = last.strip()
    return [*elements, last] if last or elements else []
