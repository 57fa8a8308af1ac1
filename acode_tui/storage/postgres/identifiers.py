"""Identifiers that become part of SQL text. Values never do: they are parameters."""

import re
import uuid
from typing import TYPE_CHECKING, Any, TypeAlias

from acode_tui.config.settings import SCHEMA_PATTERN
from acode_tui.domain.errors import ConfigError

_SCHEMA = re.compile(SCHEMA_PATTERN)
_ROLE = re.compile(r"[^\x00\"]{1,63}\Z")


def quoted_schema(schema: str) -> str:
    """The configured schema as an SQL identifier. Raises ConfigError if the configuration would not allow it."""
    if _SCHEMA.match(schema) is None:
        raise ConfigError(
            "persistence.postgres.schema: is not a schema name",
            hint="letters, digits and _, at most 63, not beginning with a digit or pg_",
        )
    return f'"{schema}"'


def quoted_role(role: str) -> str:
    """A role as an SQL identifier, for SQL that is printed. Raises ConfigError if it cannot be quoted."""
    if _ROLE.match(role) is None:
        raise ConfigError("role: cannot be quoted", hint="give 1 to 63 characters without quotes")
    return f'"{role}"'


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
