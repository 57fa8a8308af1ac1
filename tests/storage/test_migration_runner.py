"""The rules of migrations: numeric order, one text for each version, none skipped, none newer than the program."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.errors import MigrationError, SchemaMismatchError
from acode_tui.domain.schema import version_key
from acode_tui.storage.migrations.runner import (
    Migration,
    OtherBuildError,
    due,
    make_migration,
    newest,
    ordered,
    packaged,
)
from acode_tui.storage.ports import AppliedMigration, Tier

versions = st.lists(st.integers(0, 30), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))


def _migration(version: str, sql: str = "SELECT 1;") -> Migration:
    return make_migration(f"{version}_some_words.sql", sql)


def _applied(*migrations: Migration) -> list[AppliedMigration]:
    return [AppliedMigration(version=m.version, description=m.description, checksum=m.checksum) for m in migrations]


@pytest.mark.ac("AC-010")
def test_versions_are_compared_as_numbers() -> None:
    names = ["1.10.0", "1.9.0", "1.0.0", "10.0.0", "2.0.0"]
    found = [migration.version for migration in ordered(map(_migration, names))]
    assert found == ["1.0.0", "1.9.0", "1.10.0", "2.0.0", "10.0.0"]
    assert newest(_applied(*map(_migration, names))) == "10.0.0"


@given(st.lists(versions, unique_by=version_key))
def test_the_order_does_not_depend_on_how_files_are_listed(names: list[str]) -> None:
    found = [m.version for m in ordered(map(_migration, names))]
    assert found == [m.version for m in ordered(map(_migration, reversed(names)))]
    assert [version_key(name) for name in found] == sorted(version_key(name) for name in names)


@pytest.mark.ac("AC-010")
def test_two_migrations_of_one_version_are_refused() -> None:
    with pytest.raises(MigrationError, match=r"two migrations have version 1\.1\.0"):
        ordered([_migration("1.1.0"), _migration("1.0.0"), make_migration("1.1.0_other.sql", "")])


@pytest.mark.parametrize("name", ["initial.sql", "1.0.0.sql", "v1.0.0_x.sql", "1.0.0_X.sql", "1.0.0_x.txt", "1._x.sql"])
def test_a_file_without_version_and_description_is_refused(name: str) -> None:
    with pytest.raises(MigrationError, match="is not named like"):
        make_migration(name, "")


def test_line_ends_do_not_change_a_checksum_and_anything_else_does() -> None:
    lf, crlf, cr = (_migration("1.0.0", f"SELECT 1;{end}SELECT 2;") for end in ("\n", "\r\n", "\r"))
    assert lf.checksum == crlf.checksum == cr.checksum
    assert len(lf.checksum) == 64
    assert lf.checksum != _migration("1.0.0", "SELECT 1;\nSELECT 2; ").checksum


@given(st.lists(versions, min_size=1, unique_by=version_key), st.data())
def test_migrations_after_the_last_applied_one_are_due(names: list[str], data: st.DataObject) -> None:
    known = ordered(map(_migration, names))
    done = data.draw(st.integers(0, len(known)))
    assert due(known, _applied(*known[:done])) == known[done:]


@given(st.lists(versions, min_size=2, unique_by=version_key), st.data())
def test_a_gap_is_refused(names: list[str], data: st.DataObject) -> None:
    known = ordered(map(_migration, names))
    missing = data.draw(st.integers(0, len(known) - 2))
    with pytest.raises(MigrationError, match="was never applied although later ones were"):
        due(known, _applied(*known[:missing], *known[missing + 1 :]))


@pytest.mark.ac("AC-013")
def test_a_newer_database_is_refused() -> None:
    known = ordered([_migration("1.0.0")])
    with pytest.raises(SchemaMismatchError, match=r"has schema 2\.0\.0; this program knows 1\.0\.0 at most") as refused:
        due(known, _applied(*known, _migration("2.0.0")))
    assert "was not changed" in refused.value.hint


def test_a_database_of_another_build_is_refused_with_the_way_out() -> None:
    known = ordered([_migration("1.0.0", "SELECT 2;")])
    with pytest.raises(OtherBuildError, match=r"another build.*db import.*db export"):
        due(known, _applied(_migration("1.0.0", "SELECT 1;")))


@pytest.mark.ac("AC-010")
@pytest.mark.parametrize("tier", ["sqlite", "postgres"])
def test_both_tiers_carry_the_same_versions_under_the_same_names(tier: Tier) -> None:
    found = [(migration.version, migration.description) for migration in packaged(tier)]
    assert found[:2] == [("1.0.0", "initial schema"), ("1.1.0", "artifacts and index")]
    assert len(set(found)) == len(found)
