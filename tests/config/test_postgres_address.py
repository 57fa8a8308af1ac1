"""The address of PostgreSQL as URL, key=value string or components, and the reasons why there is none."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.config import Misconfigured, PostgresSettings, PostgresTarget, resolve_postgres, resolve_reads

DEFAULTS = PostgresSettings(enabled=True)
HARD = "p@:/%'\"\\ x?#&=+[]"


def target(url: str, settings: PostgresSettings = DEFAULTS) -> PostgresTarget:
    found = resolve_postgres(settings, {"ACODE_POSTGRES_URL": url})
    assert isinstance(found, PostgresTarget), found
    return found


def reason(environ: dict[str, str], settings: PostgresSettings = DEFAULTS) -> str:
    found = resolve_postgres(settings, environ)
    assert isinstance(found, Misconfigured), found
    assert found.hint
    return found.reason


@pytest.mark.ac("AC-024")
@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1))
def test_any_password_survives_percent_encoding(password: str) -> None:
    found = target(f"postgresql://me:{quote(password, safe='')}@db.example:5433/runs")
    assert found.password is not None
    assert found.password.reveal() == password
    assert (found.host, found.port, found.database, found.user) == ("db.example", 5433, "runs", "me")
    assert found.display == "db.example:5433/runs"


@pytest.mark.ac("AC-024")
@pytest.mark.parametrize(
    ("url", "host", "port", "database", "sslmode"),
    [
        ("postgres://u:p@h/d", "h", 5432, "d", "verify-full"),
        ("postgresql://u@localhost/d", "localhost", 5432, "d", "prefer"),
        ("postgresql://u@127.0.0.1:1/d", "127.0.0.1", 1, "d", "prefer"),
        ("postgresql://u@[::1]:77/d", "::1", 77, "d", "prefer"),
        ("postgresql://u@[2001:db8::1]/d", "2001:db8::1", 5432, "d", "verify-full"),
        ("postgresql://u@/d?host=/run/pg&port=5433", "/run/pg", 5433, "d", "prefer"),
        ("postgresql:///d?host=/run/pg&user=u", "/run/pg", 5432, "d", "prefer"),
        ("postgresql://u@%2Frun%2Fpg/d", "/run/pg", 5432, "d", "prefer"),
        ("postgresql://u@h/d?sslmode=verify-full", "h", 5432, "d", "verify-full"),
        ("postgresql://u@h/a%20b%2Fc", "h", 5432, "a b/c", "verify-full"),
        ("postgresql://u@h", "h", 5432, "u", "verify-full"),
        ("postgresql://u:a@b@h/d", "h", 5432, "d", "verify-full"),
        ("host=h port=5 dbname=d user=u password='a b\\'c'", "h", 5, "d", "verify-full"),
        ("  postgresql://u@h/d\n", "h", 5432, "d", "verify-full"),
    ],
)
def test_every_form_of_an_address_is_understood(url: str, host: str, port: int, database: str, sslmode: str) -> None:
    found = target(url)
    assert (found.host, found.port, found.database, found.sslmode) == (host, port, database, sslmode)
    assert found.user == "u"


def test_the_urls_sslmode_overrides_the_files() -> None:
    strict = PostgresSettings(sslmode="verify-full")
    assert target("postgresql://u@localhost/d", strict).sslmode == "verify-full"
    assert target("postgresql://u@localhost/d?sslmode=disable", strict).sslmode == "disable"


@pytest.mark.ac("AC-025")
@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("nonsense", "neither"),
        ("http://u:SECRET@h/d", "not a postgresql:// URL"),
        ("postgresql://u:SECRET@h:port/d", "port"),
        ("postgresql://u:SECRET@h:0/d", "port"),
        ("postgresql://u:SECRET@h:99999/d", "port"),
        ("postgresql://u:SECRET/x@h/d", "percent-encoded"),
        ("postgresql://u:SECRET%zz@h/d", "%"),
        ("postgresql://u:SECRET%ff@h/d", "UTF-8"),
        ("postgresql://u:SECRET%00@h/d", "NUL"),
        ("postgresql://u:SECRET@h/d?sslmode=SECRET", "sslmode"),
        ("postgresql://u:SECRET@h/d?wat=SECRET", "the unknown option wat"),
        ("postgresql://u:a?SECRET=x@h/d", "an unknown option"),
        ("postgresql://u:SECRET@h/d?SECRET=x", "an unknown option"),
        ("postgresql://u@h/d?hostaddr=10.0.0.1", "hostaddr beside host"),
        ("postgresql://u@h/d?sslrootcert=system&sslmode=require", "weaker sslmode"),
        ("host=h password=a SECRET=b", "an unknown option"),
        ("postgresql://u:SECRET@a,b/d", "several hosts"),
        ("postgresql://u:SECRET@[::1/d", "unfinished"),
        ("postgresql://u:SECRET\x1b@h/d", "control"),
        ("host=h password='SECRET", "well-formed"),
        ("host=h wat=SECRET", "an unknown option"),
    ],
)
def test_a_malformed_address_gives_a_reason_without_its_content(url: str, words: str) -> None:
    given = reason({"ACODE_POSTGRES_URL": url})
    assert words in given
    assert "ACODE_POSTGRES_URL" in given
    assert "SECRET" not in given


@pytest.mark.ac("AC-025")
@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("channel_binding=require", "verify-full"),
        ("channel_binding=prefer", "verify-full"),
        ("gssencmode=prefer", "sslmode"),
        ("connect_timeout=5", "persistence.postgres.connect_timeout_seconds"),
        ("target_session_attrs=read-write", "primary"),
        ("options=-csearch_path%3Dx", "ALTER ROLE"),
        ("sslcrl=x", "leave sslcrl out"),
        ("keepalives=0", "leave keepalives out"),
        ("require_auth=scram-sha-256", "leave require_auth out"),
        ("client_encoding=latin1", "leave client_encoding out"),
    ],
)
def test_an_option_that_cannot_be_honoured_is_refused_by_name(option: str, words: str) -> None:
    name = option.partition("=")[0]
    for address in (f"postgresql://u@h/d?{option}", f"host=h {option.replace('%3D', '=')}"):
        found = resolve_postgres(DEFAULTS, {"ACODE_POSTGRES_URL": address})
        assert isinstance(found, Misconfigured)
        assert f"the option {name}," in found.reason
        assert words in found.hint


@pytest.mark.parametrize(
    "option",
    [
        "channel_binding=disable",
        "gssencmode=disable",
        "target_session_attrs=any",
        "client_encoding=UTF8",
        "keepalives=",
    ],
)
def test_an_option_that_asks_for_what_happens_anyway_is_accepted(option: str) -> None:
    assert target(f"postgresql://u@h/d?{option}").host == "h"


def test_names_of_the_application() -> None:
    assert target("postgresql://u@h/d?fallback_application_name=b").application_name == "b"
    assert target("postgresql://u@h/d?fallback_application_name=b&application_name=a").application_name == "a"


@pytest.mark.parametrize(
    ("address", "mode"),
    [
        ("host=db.example", "verify-full"),
        ("host=10.0.0.1", "verify-full"),
        ("hostaddr=10.0.0.1", "verify-full"),
        ("host=127.0.0.1", "prefer"),
        ("host=127.9.9.9", "prefer"),
        ("host=::1", "prefer"),
        ("host=localhost", "prefer"),
        ("host=/run/postgresql", "prefer"),
        ("host=localhost.example", "verify-full"),
        ("host=127.0.0.1.example", "verify-full"),
        ("host=localhost sslrootcert=system", "verify-full"),
        ("host=db.example sslmode=prefer", "prefer"),
        ("host=db.example sslmode=require", "require"),
    ],
)
def test_who_answers_is_verified_unless_it_is_this_machine_or_somebody_says_so(address: str, mode: str) -> None:
    assert target(address).sslmode == mode


@pytest.mark.ac("AC-025")
def test_an_unset_variable_is_a_reason_that_names_it() -> None:
    assert reason({}) == "ACODE_POSTGRES_URL is not set"
    assert reason({}, PostgresSettings(connection_string_env="TEAM_URL")) == "TEAM_URL is not set"


@pytest.mark.ac("AC-024")
def test_components_take_their_password_from_the_named_variable_only() -> None:
    settings = PostgresSettings(host="h", database="d", username="u", password_env="PW")
    found = resolve_postgres(settings, {"PW": HARD, "PGPASSWORD": "other"})
    assert isinstance(found, PostgresTarget)
    assert found.password is not None
    assert found.password.reveal() == HARD
    assert "PW (persistence.postgres.password_env) is not set" in reason({}, settings)
    assert "database" in reason({}, PostgresSettings(host="h"))
    without = resolve_postgres(PostgresSettings(host="h", database="d", username="u"), {"PGPASSWORD": "other"})
    assert isinstance(without, PostgresTarget)
    assert without.password is None


@pytest.mark.ac("AC-024")
def test_the_environments_url_overrides_the_files_components() -> None:
    settings = PostgresSettings(host="file-host", database="d")
    assert target("postgresql://u@env-host/d", settings).host == "env-host"
    empty = resolve_postgres(settings, {"ACODE_POSTGRES_URL": ""})
    assert isinstance(empty, PostgresTarget)
    assert empty.host == "file-host"


@pytest.mark.ac("AC-058")
def test_a_target_never_prints_its_password() -> None:
    found = target(f"postgresql://me:{quote(HARD, safe='')}@h/d")
    for text in (repr(found), str(found), f"{found.password}", repr(found.password), found.display):
        assert HARD not in text
        assert quote(HARD, safe="") not in text


def test_reads_go_to_the_replica_that_is_named_and_else_to_the_primary() -> None:
    primary = target("postgresql://ada:word@db.example:5433/runs?sslrootcert=/ca.pem")

    def reads(url: str | None) -> PostgresTarget:
        found = resolve_reads(PostgresSettings(enabled=True, read_url=url), primary)
        assert isinstance(found, PostgresTarget), found
        return found

    assert reads(None) == primary
    replica = reads("postgresql://replica.example")
    assert (replica.display, replica.user, replica.sslmode) == ("replica.example:5432/runs", "ada", "verify-full")
    assert replica.password is not None
    assert (replica.password.reveal(), replica.sslrootcert) == ("word", "/ca.pem")
    # Another user's password is not sent for this one.
    other = reads("postgresql://reader@replica.example:6000/copy?sslmode=require")
    assert (other.display, other.user, other.password, other.sslmode) == (
        "replica.example:6000/copy",
        "reader",
        None,
        "require",
    )
    refused = resolve_reads(PostgresSettings(read_url="postgresql:///runs"), primary)
    assert isinstance(refused, Misconfigured)
    assert refused.reason == "persistence.postgres.read_url names no host"
