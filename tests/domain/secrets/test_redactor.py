"""Secrets are found in every encoding and nesting; other text is unchanged."""

import base64
import html
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.errors import ConfigError, ValidationError
from acode_tui.domain.secrets.known import redact
from acode_tui.domain.secrets.patterns import custom_patterns
from acode_tui.domain.secrets.redactor import Redactor
from benchmarks.bench_redact import HOSTILE
from tests.domain.planted_secrets import ORDINARY, Planted, secrets


def nested(text: str) -> str:
    return json.dumps({"a": json.dumps({"b": f"line\n{text}\nline"}), "c": [1, None]})


NESTINGS: dict[str, Callable[[str], str]] = {
    "alone": str,
    "in a sentence": lambda text: f"see {text} there",
    "after a break": lambda text: f"line\n{text}\nline",
    "in JSON": lambda text: json.dumps({"a": text}),
    "in JSON in JSON": nested,
    "in JSON in JSON in JSON": lambda text: json.dumps(nested(text)),
    "in a representation": lambda text: repr({"a": f"x\n{text}"}),
    "in base64": lambda text: base64.b64encode(f"so: {text}".encode()).decode(),
    "in base64 for addresses": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "in lines of base64": lambda text: base64.encodebytes((f"long {text} " * 3).encode()).decode(),
    "in base64 in JSON": lambda text: json.dumps({"data": base64.b64encode(nested(text).encode()).decode()}),
    "in an address": lambda text: f"https://example.net/x?to={quote(text)}&n=1",
    "in an address in an address": lambda text: "vscode://file/?at=" + quote(quote(text, safe=""), safe=""),
    "in HTML": lambda text: f"<p>so &mdash; {html.escape(text)}</p>",
    "in HTML with numbers": lambda text: "<b>" + "".join(f"&#{ord(each)};" for each in text) + "</b>",
    "in an address in JSON": lambda text: json.dumps({"url": "x://y?z=" + quote(text, safe="")}),
    "in base64 of UTF-16": lambda text: base64.b64encode(f"{text} ".encode("utf-16-le")).decode(),
}


def layers(text: str) -> list[str]:
    """The text, decoded as HTML and as a URL, and the base64 in it decoded: what an attacker would search."""
    found = [text, html.unescape(text), unquote(text), unquote(unquote(text))]
    for run in text.replace("\\", '"').replace("\n", "").split('"'):
        for decode in (base64.b64decode, base64.urlsafe_b64decode):
            try:
                data = decode(run + "=" * (-len(run) % 4))
            except ValueError:
                continue
            found += [data.decode("utf-8", "replace"), data.decode("utf-16-le", "replace")]
    return found


@given(secrets, st.sampled_from(sorted(NESTINGS)))
def test_no_secret_survives_in_any_nesting(secret: Planted, nesting: str) -> None:
    text = NESTINGS[nesting](secret.text)
    redactor = Redactor()
    shown = redactor.text(text)
    assert all(secret.core not in layer for layer in layers(shown)), nesting
    assert redactor.counts.total() >= 1
    assert Redactor().text(shown) == shown


@given(secrets, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"]))
def test_no_secret_survives_in_bytes_of_any_encoding(secret: Planted, encoding: str) -> None:
    data = f"first\n{secret.text}\nlast".encode(encoding)
    redacted = Redactor().content(data)
    assert secret.core not in redacted.decode(encoding)
    assert redacted.decode(encoding).startswith("first\n")
    assert Redactor().content(redacted) == redacted


@given(secrets, st.binary(max_size=60), st.binary(max_size=60))
def test_binary_data_keeps_everything_but_the_secret(secret: Planted, before: bytes, after: bytes) -> None:
    given = b"\x00\xff" + before + b"\n" + secret.text.encode() + b"\n" + after
    redacted = Redactor().content(given)
    assert secret.core.encode() not in redacted
    assert redacted.startswith(b"\x00\xff")


@given(
    st.lists(st.one_of(secrets.map(lambda each: each.text), st.text(max_size=8), st.sampled_from(ORDINARY)), max_size=5)
)
def test_redaction_is_idempotent(parts: list[str]) -> None:
    for text in ("".join(parts), " ".join(parts), json.dumps(parts)):
        once = Redactor().text(text)
        again = Redactor()
        assert again.text(once) == once
        assert not again.counts


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_is_unchanged(text: str) -> None:
    redactor = Redactor()
    assert redactor.text(text) == text
    assert redactor.content(text.encode()) == text.encode()
    wide = text.encode("utf-16")
    assert redactor.content(wide) == wide
    assert not redactor.counts


@given(st.text(st.characters(exclude_characters="@\\:=_/\ue000[")))
def test_prose_is_unchanged(text: str) -> None:
    assert Redactor().text(text) == text


def test_json_keeps_its_structure_and_its_keys_distinct() -> None:
    value: Any = {
        "ada@example.org": {"n": 1, "deep": [True, None, "ghp_" + "a1B2" * 9]},
        "eve@example.org": 2.5,
        "plain": ["x", {"y": "z"}],
    }
    redactor = Redactor()
    shown = redactor.json(value)
    assert shown == {
        "[redacted:email]": {"n": 1, "deep": [True, None, "[redacted:github-token]"]},
        "[redacted:email] (2)": 2.5,
        "plain": ["x", {"y": "z"}],
    }
    assert redactor.counts == {"email": 2, "github-token": 1}
    assert Redactor().json(shown) == shown
    assert redactor.json(value["plain"]) is value["plain"]


@pytest.mark.parametrize("name", ["password", "DB_PASSWORD", "client_secret", "apiKey", "aws_secret_access_key"])
def test_the_value_of_a_member_with_a_secret_name_is_redacted(name: str) -> None:
    assert Redactor().json({name: "correct horse", "title": "correct horse"}) == {
        name: "[redacted:credential]",
        "title": "correct horse",
    }
    assert Redactor().json({name: "", "x": None}) == {name: "", "x": None}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"Authorization": "Basic dXNlcjpwYXNzd29yZA=="}, {"Authorization": "[redacted:authorization]"}),
        ({"x-api-key": "abc"}, {"x-api-key": "[redacted:credential]"}),
        ({"name": "DB_PASSWORD", "value": "hunter"}, {"name": "DB_PASSWORD", "value": "[redacted:credential]"}),
        ({"key": "title", "value": "hunter"}, {"key": "title", "value": "hunter"}),
        ({"token_count": "17", "max_tokens": 5, "key": "x"}, {"token_count": "17", "max_tokens": 5, "key": "x"}),
    ],
)
def test_common_forms_of_named_values_are_recognized(value: Any, shown: Any) -> None:
    assert Redactor().json(value) == shown
    assert Redactor().json(shown) == shown


def test_a_given_home_directory_is_replaced() -> None:
    redactor = Redactor(homes=["/srv/people/ada/", "/"])
    assert redactor.text("in /srv/people/ada/x and /srv/people/adam") == "in ~/x and /srv/people/adam"
    assert redactor.counts == {"home-path": 1}


def test_counts_name_kinds_and_never_values() -> None:
    redactor = Redactor()
    redactor.text("ada@example.org and bob@example.org use AKIAIOSFODNN7EXAMPLE in /home/ada/x")
    assert redactor.counts == {"email": 2, "aws-key-id": 1, "home-path": 1}


def test_logs_hide_tokens_but_not_email_addresses() -> None:
    shown = redact("ada@example.org: refused ghp_" + "a1B2" * 9 + " at postgresql://u:p@h/d")
    assert shown == "ada@example.org: refused [redacted:github-token] at postgresql://***@h/d"


def test_matches_of_a_custom_pattern_are_replaced_and_counted() -> None:
    redactor = Redactor(patterns=custom_patterns([r"ACME-\d+", r"(?i)project \w+"]))
    assert redactor.text('{"t": "ACME-17\\nProject Zeus"}') == '{"t": "[redacted:pattern-1]\\n[redacted:pattern-2]"}'
    assert redactor.counts == {"pattern-1": 1, "pattern-2": 1}


def test_a_catastrophic_pattern_is_stopped_and_named() -> None:
    redactor = Redactor(patterns=custom_patterns(["fine", "(a|aa)+$"], seconds=0.05))
    with pytest.raises(ConfigError, match="pattern 2 took longer"):
        redactor.text("a" * 80 + "!")


@pytest.mark.parametrize("source", ["(", "a*", "[", "(?P<x>a)(?P=y)", "a{999999999999999999}"])
def test_an_unusable_pattern_is_refused(source: str) -> None:
    with pytest.raises(ValidationError, match="pattern 2"):
        custom_patterns(["x", source])


@pytest.mark.parametrize(
    "text",
    [
        "a@" * 50_000,
        "a." * 50_000 + "@b",
        "://" * 50_000,
        "postgres://" * 20_000,
        "-----BEGIN PRIVATE KEY-----" * 5_000,
        "password=" * 4_000,
        "password:'" * 20_000,
        "sk-" * 50_000,
        "eyJaaaaaa." * 20_000,
        "eyJ" * 50_000,
        "\\" * 100_000,
        '\\"' * 50_000,
        "A" * 200_000,
        ("A" * 76 + "\n") * 2_000,
        "?token" * 30_000,
        "bearer " * 30_000,
        "-home-" * 30_000,
        "[redacted:x]" * 10_000,
        "/home/" * 30_000,
        "%20" * 60_000,
        "%2525" * 40_000,
        "\\\\%5C" * 30_000,
        "&amp;amp;" * 20_000,
        "%3A%2F%2F" * 20_000,
        *(unit * (60_000 // len(unit)) for unit in HOSTILE),
    ],
    ids=lambda text: text[:12].strip(),
)
def test_redaction_takes_linear_time(text: str) -> None:
    started = time.process_time()
    Redactor().text(text)
    assert time.process_time() - started < 5
