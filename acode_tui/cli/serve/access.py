"""Who may use a served dashboard: a browser that came with a token, and then has a cookie.

A token is part of the printed address and is valid once, so an address in a history, a log or a shared screen opens
nothing after its use. Cookies of one host are shared by all of its ports, so each server has a cookie name of its own.
"""

import hmac
import secrets
from collections.abc import Mapping

MAX_BROWSERS = 32
"""Browsers that have a cookie; one more, and the one that came first has to come with a token again."""


class Access:
    """The token that is valid now, and the cookies of the browsers that came with earlier ones."""

    def __init__(self) -> None:
        self.cookie_name = f"acode-tui-{secrets.token_hex(4)}"
        self.token = secrets.token_urlsafe(32)
        self._cookies: list[str] = []

    def exchange(self, token: str) -> str | None:
        """The cookie for a token; another token is valid from now on. None if the token is not valid."""
        if not _equal(token, self.token):
            return None
        self.token = secrets.token_urlsafe(32)
        self._cookies = [*self._cookies, secrets.token_urlsafe(32)][-MAX_BROWSERS:]
        return self._cookies[-1]

    def admits(self, cookies: Mapping[str, str]) -> bool:
        """Whether a request with these cookies comes from a browser that came with a token."""
        cookie = cookies.get(self.cookie_name, "")
        # All are compared, so that the time says nothing about which of them is close.
        return sum(_equal(cookie, known) for known in self._cookies) > 0


def _equal(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode(errors="surrogatepass"), right.encode())
