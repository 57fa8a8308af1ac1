"""The password file: libpq's rules for lines, escapes and modes."""

import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.config.postgres_address import PostgresTarget
from acode_tui.storage.postgres.password_file import UnusablePasswordFile, find_password, password_from_file

TARGET = PostgresTarget(host="db.example", port=5432, database="runs", user="ada", password=None, sslmode="verify-full")


@pytest.mark.parametrize(
    ("text", "password"),
    [
        ("db.example:5432:runs:ada:secret", "secret"),
        ("*:*:*:*:secret\n", "secret"),
        ("*:*:*:*:secret\r\n", "secret"),
        ("*:*:*:*:secret ", "secret "),
        ("other:5432:runs:ada:no\ndb.example:*:runs:*:first\n*:*:*:*:second\n", "first"),
        ("#*:*:*:*:comment\n\nshort:line\n*:*:*:*:yes", "yes"),
        ("*:*:*:*:a\\:b\\\\c\\d", "a:b\\cd"),
        ("*:*:*:*:a:b", "a"),
        ("*:*:*:*:", None),
        ("*:5433:*:*:secret", None),
        ("*:*:other:*:secret", None),
        ("*:*:*:grace:secret", None),
        ("d*:*:*:*:secret", None),
        ("\\*:*:*:*:secret", None),
        ("", None),
        ("localhost:*:*:*:secret", None),
    ],
)
def test_the_first_line_that_matches(text: str, password: str | None) -> None:
    assert find_password(text, TARGET) == password


@pytest.mark.parametrize(
    ("host", "line", "matches"),
    [
        ("/run/postgresql", "localhost", True),
        ("/run/postgresql", "/run/postgresql", True),
        ("/elsewhere", "localhost", False),
        ("/elsewhere", "/elsewhere", True),
        ("::1", "\\:\\:1", True),
    ],
)
def test_sockets_and_addresses_with_colons(host: str, line: str, matches: bool) -> None:
    target = msgspec.structs.replace(TARGET, host=host)
    assert find_password(f"{line}:*:*:*:secret", target) == ("secret" if matches else None)


FIELD = st.text(st.characters(exclude_characters="\n\r\x00", exclude_categories=["Cs"]), min_size=1)


def escaped(field: str) -> str:
    return field.replace("\\", "\\\\").replace(":", "\\:")


@given(database=FIELD, user=FIELD.filter(lambda user: user != "*"), password=FIELD)
def test_what_is_escaped_is_found(database: str, user: str, password: str) -> None:
    target = msgspec.structs.replace(TARGET, database=database, user=user)
    line = f"db.example:5432:{escaped(database)}:{escaped(user)}:{escaped(password)}"
    assert find_password(f"*:*:*:{escaped(user)}x:no\n{line}\n*:*:*:*:no", target) == password


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o777])
def test_a_file_that_others_may_use_is_not_used(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "pgpass"
    path.write_text("*:*:*:*:secret")
    path.chmod(mode)
    with pytest.raises(UnusablePasswordFile, match=f"mode {mode:04o}.*chmod 600"):
        password_from_file(str(path), TARGET)
    path.chmod(0o600)
    assert password_from_file(str(path), TARGET) == "secret"
    path.chmod(0o400)
    assert password_from_file(str(path), TARGET) == "secret"


def test_what_is_no_plain_file_is_not_waited_for(tmp_path: Path) -> None:
    assert password_from_file(str(tmp_path / "none"), TARGET) is None
    os.mkfifo(tmp_path / "fifo", 0o600)
    for path in (tmp_path / "fifo", tmp_path):
        with pytest.raises(UnusablePasswordFile, match="plain file"):
            password_from_file(str(path), TARGET)
