"""Names and texts that become part of SQL. In statements that are executed values never do: they are parameters."""

import re
import uuid
from typing import TYPE_CHECKING, Any, TypeAlias

from acode_tui.config.settings import SCHEMA_PATTERN
from acode_tui.domain.errors import ConfigError

_SCHEMA = re.compile(SCHEMA_PATTERN)
_LONGEST_NAME = 63
"""Bytes of UTF-8. PostgreSQL cuts a longer name off, and a name that is cut off may be somebody else's."""

_ROLE_KEYWORDS = ("public", "none")
"""Names that GRANT takes for a keyword even where they are quoted: ``"public"`` is everybody."""


def quoted(name: str) -> str:
    """Any name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def quoted_text(text: str) -> str:
    """A text as an SQL literal, whatever ``standard_conforming_strings`` is."""
    doubled = text.replace("'", "''")
    return f"'{doubled}'" if "\\" not in text else "E'" + doubled.replace("\\", "\\\\") + "'"


def dollar_quoted(text: str) -> str:
    """A text between dollar signs, with a tag that does not occur in it. Readable, so for whole statements."""
    number = 0
    while (tag := f"$acode{number or ''}$") in f"{text}$":
        number += 1
    return f"{tag}{text}{tag}"


def quoted_schema(schema: str) -> str:
    """The configured schema as an SQL identifier. Raises ConfigError if the configuration would not allow it."""
    if _SCHEMA.match(schema) is None:
        raise ConfigError(
            "persistence.postgres.schema: is not a schema name",
            hint="letters, digits and _, at most 63, not beginning with a digit or pg_",
        )
    return quoted(schema)


def quoted_role(role: str) -> str:
    """A role as an SQL identifier, for SQL that is printed. Raises ConfigError if PostgreSQL has no such role."""
    try:
        size = len(role.encode())
    except UnicodeEncodeError:
        raise ConfigError("role: is not valid Unicode", hint="give the role's name as PostgreSQL shows it") from None
    if not 0 < size <= _LONGEST_NAME or "\x00" in role:
        raise ConfigError("role: is not the name of a role", hint=f"give 1 to {_LONGEST_NAME} bytes without a NUL")
    if role in _ROLE_KEYWORDS:
        raise ConfigError(f'role: "{role}" is a keyword of GRANT, not a role', hint="give another role")
    return quoted(role)


def is_uuid(text: str) -> bool:
    """Whether a text can be compared with a uuid column."""
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


if TYPE_CHECKING:
    import asyncpg
    from asyncpg.pool import PoolConnectionProxy

    Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
else:
    Connection: TypeAlias = Any
