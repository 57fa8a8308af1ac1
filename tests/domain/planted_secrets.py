"""Hypothesis strategies for secrets: one of every kind, with the part that must not survive redaction."""

import string
from typing import NamedTuple

from hypothesis import strategies as st

ALNUM = string.ascii_letters + string.digits
UPPER = string.ascii_uppercase + string.digits
HEX = string.digits + "abcdef"


class Planted(NamedTuple):
    """A secret as text, and the part of it that must not survive."""

    text: str
    core: str


def _letters(alphabet: str, least: int, most: int | None = None) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=least, max_size=most or least)


def _token(prefix: str, alphabet: str, least: int, most: int | None = None) -> st.SearchStrategy[Planted]:
    return _letters(alphabet, least, most).map(lambda body: Planted(prefix + body, body))


def _with_digit(least: int, most: int) -> st.SearchStrategy[str]:
    return st.builds(lambda body, digit: body + digit, _letters(ALNUM, least, most), st.sampled_from(string.digits))


_CHANGING = [string.ascii_lowercase, string.ascii_uppercase, string.ascii_lowercase, string.digits] * 9 + [ALNUM] * 2


@st.composite
def _aws_secret(draw: st.DrawFn) -> Planted:
    """Forty characters in which case and digits change as often as in a random key, beside a word that says AWS."""
    body = "".join(draw(st.sampled_from(alphabet)) for alphabet in _CHANGING)
    body += draw(st.sampled_from("+/")) + "a"
    return Planted(f"AWS {body}", body[:36])


@st.composite
def _private_key(draw: st.DrawFn) -> Planted:
    kind = draw(st.sampled_from(["RSA ", "EC ", "OPENSSH ", "", "ENCRYPTED "]))
    lines = [draw(_letters(ALNUM + "+/", 64)) for _ in range(draw(st.integers(1, 3)))]
    body = "\n".join(lines)
    return Planted(f"-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----", lines[0])


@st.composite
def _jwt(draw: st.DrawFn) -> Planted:
    parts = [draw(_letters(ALNUM + "_-", 20, 40)) for _ in range(3)]
    return Planted(f"eyJ{parts[0]}.{parts[1]}.{parts[2]}", parts[1])


_passwords = _letters(ALNUM + "!$%^*_~", 6, 20).map(lambda body: f"Zq7{body}9")

secrets: st.SearchStrategy[Planted] = st.one_of(
    _token("sk-proj-", ALNUM + "_-", 24, 60),
    _token("sk-ant-api03-", ALNUM + "_-", 24, 60),
    _token("sk-", ALNUM, 40, 48),
    _token("ghp_", ALNUM, 36),
    _token("gho_", ALNUM, 36),
    _token("ghs_", ALNUM, 36),
    _token("github_pat_", ALNUM + "_", 40, 80),
    _token("xoxb-", string.digits + "-", 12, 24),
    _token("xoxp-", ALNUM + "-", 20, 40),
    _token("AKIA", UPPER, 16),
    _token("ASIA", UPPER, 16),
    _aws_secret(),
    _token("AIza", ALNUM + "_-", 35),
    _private_key(),
    _jwt(),
    _with_digit(20, 40).map(lambda body: Planted(f"Authorization: Bearer {body}", body)),
    _passwords.map(lambda body: Planted(f"postgresql://ada:{body}@db.example.net:5432/shop", body)),
    _passwords.map(lambda body: Planted(f"https://ada:{body}@example.net/x", body)),
    _passwords.map(lambda body: Planted(f"PASSWORD={body}", body)),
    _passwords.map(lambda body: Planted(f'"client_secret": "{body}"', body)),
    st.builds(
        lambda name, host: Planted(f"{name}.Zq@{host}.example.org", f"{name}.Zq"),
        _letters(string.ascii_lowercase, 3, 12),
        _letters(string.ascii_lowercase, 3, 8),
    ),
    _letters(string.ascii_lowercase, 6, 12).map(lambda name: Planted(f"/home/zq{name}/src/app.py", f"zq{name}")),
    _letters(string.ascii_lowercase, 6, 12).map(lambda name: Planted(f"/Users/zq{name}/notes", f"zq{name}")),
    _letters(string.ascii_lowercase, 6, 12).map(lambda name: Planted(f"C:\\Users\\zq{name}\\app", f"zq{name}")),
)
"""A secret of any kind that redaction promises to recognize."""

ORDINARY = (
    "Add input validation to the login form; update references; drop table",
    "commit 3f786850e387550fdab836ed7e6dc881de23001b fixes it",
    "0190d6a1-7b2c-7def-8a3e-b4c5d6e7f890",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "see https://example.org/a/b?x=1&page=2#top and ssh://git@github.com/me/x.git",
    "git@github.com:textualize/textual.git",
    "npm install lodash@4.17.21 @types/node@20.1.0 left-pad@1.0.0-rc.next",
    "icon@2x.png, a decorator @app.route('/x') and the matmul a @ b",
    "def login(password: str, token: str | None = None) -> bool: return check(password=password, token=self.token)",
    "risk-averse-task-runner-with-a-very-long-kebab-case-name",
    "src/acode_tui/domain/secretShapes/redactorTable/index.ts",
    "/usr/local/lib/python3.11/site-packages/foo/bar.py and ./home/page.html",
    "the bearer of bad news; a bearer token is required; basic authentication",
    "max_tokens: 4096, total_tokens=123456, key: value, keyboard=qwerty",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
    "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----",
    "SGVsbG8sIHdvcmxkISBUaGlzIGlzIGp1c3QgdGV4dC4=",
    "open https://example.org/invite?token=${token} or ?api_key=<key>",
    "password=${DB_PASSWORD} password=<your password> PASSWORD=***",
    'a \\"quoted\\" string with \\n escapes and \\u00e9 and C:\\\\Windows\\\\System32',
    "\x1b[31mred\x1b[0m \u202e\ue0000000 é 漢字 \U0001f469",
    "",
)
"""Texts that resemble secrets but contain none."""
