"""Known secrets never survive redaction in any spelling."""

import json
import shlex
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from acode_tui.domain.secrets.known import MASK, Secret, display_address, has_password, redact

HARD = st.text(st.sampled_from("@:/%'\"\\ aZ9é\n"), min_size=1, max_size=12)
CORE = "S3nt1nel"
SENTINEL = st.tuples(HARD, HARD).map(lambda ends: ends[0] + CORE + ends[1])


def lower_hex(text: str) -> str:
    return "".join(part.lower() if index % 2 else part for index, part in enumerate(_split_percent(text)))


def _split_percent(text: str) -> list[str]:
    parts, rest = [], text
    while "%" in rest:
        before, _, after = rest.partition("%")
        parts += [before, "%" + after[:2]]
        rest = after[2:]
    return [*parts, rest]


def spellings(password: str) -> list[str]:
    escaped = quote(password, safe="")
    return [
        password,
        escaped,
        lower_hex(escaped),
        quote(password),
        quote_plus(password),
        quote(escaped, safe=""),
        repr(password)[1:-1],
        repr(repr(password)),
        json.dumps(password),
        json.dumps(password, ensure_ascii=False),
        json.dumps(json.dumps(password)),
        json.dumps(f"postgresql://u:{escaped}@h/db"),
        shlex.quote(password),
        password.replace("'", "\\'"),
        password.replace("'", "''"),
        password.replace("\\", "\\\\").replace("'", "\\'"),
        f"password='{password}'",
    ]


@pytest.mark.ac("AC-058")
@given(SENTINEL)
@example("@:/%'\"\\ S3nt1nel @:/%'\"\\ ")
@example("%41S3nt1nel%")
def test_a_known_password_never_survives_in_any_spelling(password: str) -> None:
    for spelled in spellings(password):
        for text in (spelled, f"could not connect to {spelled}: refused", f"postgresql://me:{spelled}@host:5432/db"):
            shown = redact(text, [Secret(password)])
            assert CORE not in shown, spelled
            assert password not in shown


@pytest.mark.ac("AC-058")
@given(st.text(st.sampled_from("@:/%'\"\\ aZ?#"), max_size=8))
def test_an_unknown_postgres_urls_password_never_survives(ends: str) -> None:
    shown = redact(f"failed: postgresql://me:{ends}{CORE}{ends}@host:5432/db (timeout)")
    assert CORE not in shown
    assert "host:5432/db (timeout)" in shown


@pytest.mark.ac("AC-058")
@pytest.mark.parametrize(
    "text",
    [
        f"host=h password={CORE} user=u",
        f"host=h password='{CORE} with \\' blank' user=u",
        f'PASSWORD = "{CORE}"',
        f"https://me:{CORE}@proxy:8080/x",
        f"redis://:{CORE}@cache/0 and amqp://a:{CORE}@mq",
        f"postgresql://h/db?user=u&password={CORE}&sslmode=require",
        f"first postgresql://a:{CORE}@h/d\nsecond postgres://b:{CORE}@h/d",
        f"postgres://{CORE}@h/d",
    ],
)
def test_unknown_credentials_are_found_by_parsing(text: str) -> None:
    shown = redact(text)
    assert CORE not in shown
    assert MASK in shown


def test_text_without_secrets_is_unchanged() -> None:
    for text in (
        "see https://example.org/a/b?x=1",
        "postgresql://host:5432/db refused",
        "mail me@example.org about https://example.org/@me",
        "",
    ):
        assert redact(text) == text
        assert not has_password(text)
    assert has_password("postgresql://u:p@h/d")
    assert not has_password("postgresql://u@h/d")
    assert display_address("::1", 5432, "d") == "[::1]:5432/d"


def test_only_reveal_returns_a_secret() -> None:
    import pickle

    import msgspec

    secret = Secret(CORE)
    assert CORE not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == CORE
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        msgspec.json.encode(secret)
