"""Nearly all secrets of a published shape are hidden in every context, and nearly all that a name gives away."""

import base64

import pytest

from acode_tui.domain.secrets.redactor import Redactor
from tests.domain.secret_corpus import Found, in_contexts, named

AIM = 0.95


def survives(found: Found) -> bool:
    """Whether the secret, or its beginning, can be read after redaction, also by somebody who decodes base64."""
    shown = Redactor().text(found.text)
    readable = [shown]
    if found.name.endswith("base64"):
        readable.append(base64.b64decode(shown + "=" * (-len(shown) % 4)).decode(errors="replace"))
    return any(found.core in text or found.core[:40] in text for text in readable)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_secrets_of_published_shapes_are_hidden_in_ordinary_contexts(seed: int) -> None:
    corpus = list(in_contexts(seed))
    missed = [found.name for found in corpus if survives(found)]
    assert len(corpus) > 2000
    assert len(missed) <= len(corpus) * (1 - AIM), missed


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_published_shape_is_hidden_in_nearly_every_context(seed: int) -> None:
    shapes: dict[str, list[bool]] = {}
    for found in in_contexts(seed):
        shapes.setdefault(found.name.partition(" in ")[0], []).append(survives(found))
    unknown = [name for name, survived in shapes.items() if sum(survived) * 2 > len(survived)]
    assert len(shapes) > 200
    assert len(unknown) <= len(shapes) * (1 - AIM), unknown


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_secrets_that_a_name_or_a_command_gives_away_are_hidden(seed: int) -> None:
    corpus = list(named(seed))
    missed = [found.name for found in corpus if survives(found)]
    assert len(corpus) >= 120
    assert len(missed) <= len(corpus) * (1 - AIM), missed


@pytest.mark.parametrize("password", ["hunter2", "S3cr3t!pw", "correct-horse-9", "Tr0ub4dor&3", "Summer2024"])
@pytest.mark.parametrize(
    "line",
    [
        "DB_PASS={}",
        "password: {}",
        '"password": "{}"',
        "curl -u shop:{} https://example.org",
        "sshpass -p {} ssh host",
        "mysql -u root -p{} shop",
        "machine example.org login shop password {}",
        "db:5432:shop:shop:{}",
        "https://shop:{}@example.org/",
        "Server=db;Uid=shop;Pwd={};",
        "the password is {}.",
        "ALTER USER shop WITH PASSWORD '{}';",
        "kubectl create secret generic shop --from-literal=db={}",
        "smbclient //files/shop -U shop%{}",
        "openssl enc -aes-256-cbc -k {} -in dump",
        "curl -s -b 'session={}' https://example.org/",
        "example.org\tTRUE\t/\tTRUE\t1735689600\tany\t{}",
    ],
)
def test_a_password_that_a_person_chose_is_hidden(line: str, password: str) -> None:
    assert password not in Redactor().text(line.format(password))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (["curl", "-u", "shop:hunter2", "https://x"], ["curl", "-u", "shop:[redacted:credential]", "https://x"]),
        (["acme", "--password", "hunter2"], ["acme", "--password", "[redacted:credential]"]),
        (
            {"kind": "Secret", "data": {"any": "aHVudGVyMg=="}, "metadata": {"name": "x"}},
            {"kind": "Secret", "data": {"any": "[redacted:credential]"}, "metadata": {"name": "x"}},
        ),
        (
            {"heroku": "1f0c2f3e-5a4b-4c3d-9e8f-0a1b2c3d4e5f"},
            {"heroku": "[redacted:service-key]"},
        ),
        ({"session": "1f0c2f3e-5a4b-4c3d-9e8f-0a1b2c3d4e5f"}, {"session": "1f0c2f3e-5a4b-4c3d-9e8f-0a1b2c3d4e5f"}),
    ],
)
def test_secrets_in_json_are_found_by_what_stands_beside_them(value: object, shown: object) -> None:
    assert Redactor().json(value) == shown
    assert Redactor().json(shown) == shown


def test_a_random_key_of_forty_characters_is_a_secret_of_aws_only_beside_its_name() -> None:
    key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLE9a"
    assert len(key) == 40
    for text in (f"id {key} done", f"jobs of {key}", f'{{"node_id": "{key}"}}'):
        assert Redactor().text(text) == text
    for text in (f"aws {key}", f"[default]\nAmazon = 1\n{key}", f"{key} is the S3 one"):
        assert key not in Redactor().text(text)
