"""Asks services of this machine over HTTP how they are."""

from functools import cache

import httpx

SHORT_SECONDS = 3.0


def ask(url: str) -> httpx.Response:
    """What is answered at a URL; from any thread.

    Raises:
        httpx.HTTPError: Nothing is answered within `SHORT_SECONDS`.
    """
    return _client().get(url)


def http_fault(url: str) -> str | None:
    """None where a URL answers with success, else what is wrong."""
    try:
        answer = ask(url)
    except httpx.HTTPError as error:
        return f"{url}: {error}"
    return None if answer.is_success else f"{url}: status {answer.status_code}"


@cache
def _client() -> httpx.Client:
    """One for all, since making one takes longer than to ask.

    It keeps no connection, which whoever is asked might have closed meanwhile, and takes any certificate: whether a
    process of this machine answers is the question, and its certificate need not name loopback.
    """
    return httpx.Client(timeout=SHORT_SECONDS, limits=httpx.Limits(max_keepalive_connections=0), verify=False)  # noqa: S501
