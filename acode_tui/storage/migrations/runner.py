"""The rules of the migration runner, the same on both tiers: the migrations, their order, what is due or refused.

Pure apart from reading the packaged SQL. ``migrate`` of ``sqlite/migrate.py`` and of ``postgres/migrate.py`` applies
what is due to a connection. Both are functions: a runner keeps nothing between two runs.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import msgspec

from acode_tui.domain.errors import MigrationError, SchemaMismatchError
from acode_tui.domain.schema import version_key
from acode_tui.storage.schema_ports import AppliedMigration, Tier

_NAME = re.compile(r"(?P<version>\d+(?:\.\d+)*)_(?P<description>[a-z0-9_]+)\.sql")


class OtherBuildError(SchemaMismatchError):
    """A database was made from another text of a migration of the same version, as before the first release."""

    default_hint = (
        "it was left as it is; import its runs into a new workspace, `acode-tui --workspace NEW db import FILE`: "
        "FILE is this database, or an export of the program that made it (`acode-tui db export --format json`)"
    )


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """One step of the schema. ``checksum`` is the SHA-256 of its text with LF line ends."""

    version: str
    description: str
    sql: str
    checksum: str


def make_migration(name: str, text: str) -> Migration:
    """A migration from its file's name and text. Raises MigrationError if the name is not ``1.2.3_some_words.sql``."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise MigrationError(f"{name} is not named like 1.2.3_what_it_does.sql")
    sql = text.replace("\r\n", "\n").replace("\r", "\n")
    return Migration(
        version=found["version"],
        description=found["description"].replace("_", " "),
        sql=sql,
        checksum=sha256(sql.encode()).hexdigest(),
    )


def statements_of(migration: Migration) -> list[str]:
    """The statements of a migration for PostgreSQL, without the comments between them.

    Each ends with its line, and a semicolon between ``$$`` ends none.
    """
    found: list[str] = []
    lines: list[str] = []
    is_quoted = False
    for line in migration.sql.splitlines():
        if not line.strip() or (not is_quoted and line.lstrip().startswith("--")):
            continue
        lines.append(line)
        is_quoted ^= line.count("$$") % 2 == 1
        if not is_quoted and line.rstrip().endswith(";"):
            found.append("\n".join(lines))
            lines = []
    return [*found, "\n".join(lines)] if lines else found


def ordered(migrations: Iterable[Migration]) -> tuple[Migration, ...]:
    """The migrations by version. Raises MigrationError for two of one version."""
    result = tuple(sorted(migrations, key=lambda migration: version_key(migration.version)))
    for earlier, later in pairwise(result):
        if version_key(earlier.version) == version_key(later.version):
            raise MigrationError(f"two migrations have version {later.version}")
    return result


@cache
def packaged(tier: Tier) -> tuple[Migration, ...]:
    """The migrations of a tier in this package, in order. Read once: an opening asks for them several times."""
    # The program's files are on the disk, as its style sheets are: importlib.resources takes longer than the read.
    folder = Path(__file__).parent / tier
    return ordered(make_migration(path.name, path.read_text("utf-8")) for path in folder.glob("*.sql"))


def due(known: Sequence[Migration], applied: Sequence[AppliedMigration]) -> tuple[Migration, ...]:
    """The migrations still to apply.

    Raises SchemaMismatchError where the database is newer than ``known``, OtherBuildError where it was made from
    another text of a version, and MigrationError where one before the newest applied was never applied (a gap).
    """
    by_version = {migration.version: migration for migration in known}
    newest_known = known[-1].version if known else "0"
    for done in applied:
        if done.version not in by_version:
            raise SchemaMismatchError(
                f"the database has schema {done.version}; this program knows {newest_known} at most"
            )
    require_this_build(known, applied)
    have = {done.version for done in applied}
    pending = tuple(migration for migration in known if migration.version not in have)
    if applied and pending:
        newest_applied = max(version_key(done.version) for done in applied)
        gap = next((m.version for m in pending if version_key(m.version) < newest_applied), None)
        if gap is not None:
            raise MigrationError(f"migration {gap} was never applied although later ones were")
    return pending


def require_this_build(known: Sequence[Migration], applied: Sequence[AppliedMigration]) -> None:
    """Refuse a database where a migration that both know was made from another text. Raises OtherBuildError."""
    checksums = {migration.version: migration.checksum for migration in known}
    for done in applied:
        if checksums.get(done.version, done.checksum) != done.checksum:
            raise OtherBuildError(
                f"schema {done.version} of this database was made by another build of acode-tui: its text differs"
            )


def newest(applied: Sequence[AppliedMigration]) -> str | None:
    """The database's version; None before the first migration."""
    return max((done.version for done in applied), key=version_key, default=None)
