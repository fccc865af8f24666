"""The public keys that tokens are signed by: a JWKS from a file or by HTTPS, read again as it changes.

Which key is meant is looked up by the token's `kid` in what was read; nothing in a token says where to read.
"""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt

from marketstream.domain.errors import ConfigurationError
from marketstream.observability.logs import get_logger

_KEY_TYPES = {"RS256": ("RSA", None), "ES256": ("EC", "P-256")}
_ASK_AGAIN_SECONDS = 10.0  # between readings that unknown kids ask for
_TIMEOUT_SECONDS = 3.0
_MOST_BYTES = 256_000
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

_log = get_logger("access")


class KeySet:
    """The keys of one algorithm, by `kid`. The first question reads them; threads may share it.

    Args:
        place: An https URL (http on loopback alone), or a file.
        algorithm: `RS256` or `ES256`; keys for anything else are passed over.
        fresh_seconds: How long a reading holds; while the place is away, the last one goes on.
        monotonic: Seconds that never go back.

    Raises:
        ConfigurationError: The place is a URL that anybody on the way could answer for.
    """

    def __init__(
        self, place: str, algorithm: str, fresh_seconds: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        url = urlsplit(place)
        if url.scheme == "http" and url.hostname not in _LOOPBACK:
            raise ConfigurationError(
                f"MARKETSTREAM_ACCESS__JWT_KEYS={place}: use https, or whoever is on the way signs"
            )
        self._place = place
        self._remote = url.scheme in ("http", "https")
        self._algorithm = algorithm
        self._fresh_seconds = fresh_seconds
        self._monotonic = monotonic
        self._keys: dict[str | None, Any] | None = None
        self._read_at = self._tried_at = float("-inf")
        self._turn = threading.Lock()

    def recall(self, kid: str | None) -> Any:
        """The key if it is known and fresh; None where it would have to be read."""
        if self._keys is None or self._monotonic() - self._read_at > self._fresh_seconds:
            return None
        return self._keys.get(kid)

    def find(self, kid: str | None) -> Any:
        """The key, read anew where it is not known, at most every ten seconds; None where there is none.

        Raises:
            OSError: No keys could ever be read.
        """
        with self._turn:
            key = self.recall(kid)
            if key is None and self._monotonic() - self._tried_at >= _ASK_AGAIN_SECONDS:
                self._read()
            if self._keys is None:
                raise OSError(f"the key set at {self._place} can't be read")
            return self._keys.get(kid)

    def _read(self) -> None:
        self._tried_at = self._monotonic()
        try:
            self._keys = self._usable(json.loads(self._fetch()))
            self._read_at = self._monotonic()
        except (OSError, ValueError, AttributeError, httpx.HTTPError, jwt.PyJWTError) as error:
            _log.warning("the key set can't be read; those known go on", place=self._place, error=str(error))

    def _fetch(self) -> bytes:
        if not self._remote:
            return Path(self._place).read_bytes()
        with httpx.stream("GET", self._place, timeout=_TIMEOUT_SECONDS, follow_redirects=False) as answer:
            answer.raise_for_status()
            body = b""
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > _MOST_BYTES:
                    raise ValueError("it is too long")
            return body

    def _usable(self, document: dict[str, Any]) -> dict[str | None, Any]:
        kind, curve = _KEY_TYPES[self._algorithm]
        found: dict[str | None, Any] = {}
        for raw in document["keys"] if isinstance(document.get("keys"), list) else ():
            fits = isinstance(raw, dict) and raw.get("kty") == kind and raw.get("use", "sig") == "sig"
            if not fits or raw.get("alg", self._algorithm) != self._algorithm or (curve and raw.get("crv") != curve):
                continue
            found[raw.get("kid")] = jwt.PyJWK(raw, self._algorithm).key
        if not found:
            raise ValueError(f"it has no {self._algorithm} key")
        return found
