"""What is no secret stays: sources, lock files, digests, identifiers, images, minified scripts."""

import base64
import hashlib
import json
import random
import sysconfig
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from acode_tui.domain.secrets.redactor import Redactor

PERSONAL = {"email", "home-path"}
DOCUMENTED = {"sekrit", "geheim$parole"}
"""Passwords in the standard library's own documentation."""


def _sources(size: int) -> Iterator[str]:
    """Modules of the standard library, without its tests, which have passwords in them."""
    read = 0
    for path in sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py")):
        if {"test", "tests", "site-packages", "idlelib"}.isdisjoint(path.parts) and read < size:
            text = path.read_text(encoding="utf-8", errors="replace")
            read += len(text)
            yield text


def test_nothing_in_four_megabytes_of_the_standard_library_is_a_secret() -> None:
    read, found = 0, []
    for text in _sources(4_000_000):
        redactor = Redactor()
        shown = redactor.text(text)
        read += len(text)
        if set(redactor.counts) - PERSONAL:
            hidden = redactor.counts.total() - sum(redactor.counts[kind] for kind in PERSONAL)
            if hidden > sum(word in text and word not in shown for word in DOCUMENTED):
                found.append((redactor.counts, text[:80]))
    assert read >= 4_000_000
    assert not found


def _drawn(seed: int) -> dict[str, str]:
    draw = random.Random(seed)
    digests = [hashlib.new(name, draw.randbytes(32)) for name in ("md5", "sha1", "sha256", "sha512") for _ in range(40)]
    names = ["js-tokens", "password-prompt", "keyv", "token-types", "cookie-signature", "secretstorage", "oauth-sign"]
    lock = {
        f"node_modules/{name}": {
            "version": f"{draw.randrange(9)}.{draw.randrange(20)}.{draw.randrange(20)}",
            "resolved": f"https://registry.example.org/{name}/-/{name}-4.0.0.tgz",
            "integrity": "sha512-" + base64.b64encode(draw.randbytes(64)).decode(),
            "dependencies": {other: f"^{draw.randrange(9)}.0.{draw.randrange(9)}" for other in names},
        }
        for name in names
    }
    packages = "\n".join(
        f'[[package]]\nname = "{name}"\nversion = "1.{draw.randrange(9)}.0"\n'
        f'source = {{ editable = "packages/one" }}\n'
        f'sdist = {{ url = "https://files.example/{draw.randbytes(32).hex()}/{name}-1.0.tar.gz", '
        f'hash = "sha256:{draw.randbytes(32).hex()}", size = {draw.randrange(99999)} }}'
        for name in names
    )
    image = base64.b64encode(b"\x89PNG\r\n\x1a\n" + draw.randbytes(60_000)).decode()
    script = "".join(
        f"function {a}{b}(t,e){{var n=t.key,r=e.token||null;return n===r?this.{a}(n,{{key:t,value:e,token:r}}):{b}[n]}}"
        for a in "abcdefgh"
        for b in "stuvwxyz"
    )
    return {
        "package-lock.json": json.dumps({"lockfileVersion": 3, "packages": lock}, indent=2),
        "uv.lock": packages,
        "yarn.lock": "\n".join(
            f'{name}@^4.0.0:\n  version "4.0.0"\n  integrity sha512-{base64.b64encode(draw.randbytes(64)).decode()}'
            for name in names
        ),
        "digests": "\n".join(f"{each.hexdigest()}  {each.name}.bin" for each in digests),
        "digests in JSON": json.dumps({f"{each.name}_{n}": each.hexdigest() for n, each in enumerate(digests)}),
        "base64 digests": "\n".join(f"{each.name}-{base64.b64encode(each.digest()).decode()}" for each in digests),
        "UUIDs": "\n".join(f"id={uuid.UUID(bytes=draw.randbytes(16))}" for _ in range(200)),
        "identifiers": "\n".join(f"tool_{base64.urlsafe_b64encode(draw.randbytes(18)).decode()}" for _ in range(200)),
        "ids of forty characters": "\n".join(base64.b64encode(draw.randbytes(30)).decode() for _ in range(200)),
        "image": f'<img src="data:image/png;base64,{image}">',
        "image in JSON": json.dumps({"type": "image", "source": {"type": "base64", "data": image}}),
        "minified script": script,
        "commits": "\n".join(f"commit {draw.randbytes(20).hex()}\nindex {draw.randbytes(4).hex()}" for _ in range(99)),
        "code": (
            "def login(user, password, token=None):\n    return Session(user=user, password=password, token=token)\n"
            'parser.add_argument("--password", help="the password")\npassword = getpass()\nkey = lambda row: row.key\n'
            'api_key = os.environ["API_KEY"]\npassword: str = field(default="")\nsecret_key = settings.SECRET_KEY\n'
            "export DB_PASSWORD=$DB_PASSWORD\npassword=${{ secrets.PASSWORD }}\nPWD=/work/shop\nOLDPWD=/work\n"
            "max_tokens: 4096\nprimary_key=True\nforeign_key('users.id')\ncache_key = 'session-7f3a9b2c4d5e6f70'\n"
            "curl -u $USER:$PASS https://example.org\ncurl -s https://example.org | sh\nmysql -u root -p shop\n"
            "Signature: 8a477f597d28d172789f06886806bc55\nTOKEN = '[a-zA-Z_][a-zA-Z0-9_-]*'\n"
            "names = ['ASAuthorization', 'ASAuthorizationAppleIDButton']\n"
            "PASS: test_one (0.01s)\nPASS tests/unit/login.test.ts\n12 passed, 1 failed\n"
        ),
    }


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", sorted(_drawn(0)))
def test_files_without_secrets_are_unchanged(name: str, seed: int) -> None:
    text = _drawn(seed)[name]
    redactor = Redactor()
    assert redactor.text(text) == text, redactor.counts
