"""The SQL of the apply protocol, generated once per schema from the entities' columns. Values are always parameters.

There are two forms of the same statements. *Fused* combines head, ledger and all six tables in one statement, so a
batch of any size takes three round trips; it is used on a plain server. *Stepwise* sends them one at a time; it
is used with Citus, which plans each statement separately. Every statement takes arrays with one element per row, so
its text is the same for one row or five hundred.
"""

from collections.abc import Iterator
from itertools import count

from acode_tui.domain.schema import TABLES, Table
from acode_tui.domain.states import EntityType
from acode_tui.storage.postgres.identifiers import quoted_schema
from acode_tui.storage.postgres.rows import PG_TYPES, select_list, stored_columns


class ApplyStatements:
    """The statements for one schema."""

    def __init__(self, schema: str) -> None:
        self.schema = quoted_schema(schema)
        self.head = self._head()
        self.ledger = self._ledger(count(3), seq="$1::bigint", workspace="$2::uuid")
        self.write = {
            kind: self._write(table, count(3), seq="$1::bigint", workspace="$2::uuid", gated=False)
            for kind, table in TABLES.items()
        }
        self.rewrite = {kind: self._rewrite(table) for kind, table in TABLES.items()}
        self.read = {kind: self._read(table) for kind, table in TABLES.items()}
        self.fused = self._fused()
        self.delivered = (
            f"SELECT idempotency_key, payload_sha256 FROM {self.schema}.sync_inbox "  # noqa: S608
            "WHERE session_id = ANY($1::uuid[]) AND idempotency_key = ANY($2::text[])"
        )
        self.raise_heads = (
            f"UPDATE {self.schema}.workspaces SET change_seq = change_seq + 1 "  # noqa: S608
            "WHERE id = ANY($1::uuid[]) RETURNING id, change_seq"
        )
        self.conflicts = (
            f"SELECT * FROM {self.schema}.sync_conflicts "  # noqa: S608
            "WHERE session_id = ANY($1::uuid[]) AND idempotency_key = ANY($2::text[])"
        )
        self.add_conflicts = (
            f"INSERT INTO {self.schema}.sync_conflicts (id, session_id, entity_type, entity_id, idempotency_key, "  # noqa: S608
            "workspace_id, local_payload, remote_payload, local_updated_at, remote_updated_at, winner, detected_at) "
            "SELECT u.id, u.session_id, u.entity_type, u.entity_id, u.idempotency_key, $1::uuid, u.local_payload, "
            "u.remote_payload, u.local_updated_at, u.remote_updated_at, u.winner, $2::timestamptz "
            "FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::uuid[], $7::text[], $8::jsonb[], $9::jsonb[], "
            "$10::timestamptz[], $11::timestamptz[], $12::text[]) AS u (id, session_id, entity_type, entity_id, "
            "idempotency_key, local_payload, remote_payload, local_updated_at, remote_updated_at, winner) "
            "ON CONFLICT DO NOTHING"
        )

    def _head(self) -> str:
        """Takes workspace, incarnation and the last known ``change_seq``. No row: the server was reset or restored."""
        return (
            f"UPDATE {self.schema}.workspaces SET change_seq = change_seq + 1, last_seen_at = now() "  # noqa: S608
            "WHERE id = $1::uuid AND incarnation = $2::uuid AND change_seq >= $3::bigint RETURNING change_seq"
        )

    def _ledger(self, numbers: Iterator[int], *, seq: str, workspace: str, source: str = "") -> str:
        """Takes arrays of session ids, keys and digests, after the parameters of ``seq`` and ``workspace``."""
        arrays = ", ".join(f"${next(numbers)}::{type_}[]" for type_ in ("uuid", "text", "bytea"))
        return (
            f"INSERT INTO {self.schema}.sync_inbox "  # noqa: S608
            "(session_id, idempotency_key, workspace_id, payload_sha256, change_seq) "
            f"SELECT u.session_id, u.key, {workspace}, u.digest, {seq} "
            f"FROM {source}unnest({arrays}) AS u (session_id, key, digest) "
            "ON CONFLICT (session_id, idempotency_key) DO NOTHING RETURNING idempotency_key"
        )

    def _write(
        self, table: Table, numbers: Iterator[int], *, seq: str, workspace: str, gated: bool, source: str = ""
    ) -> str:
        """The first write of a batch: insert, or update if the row still has the version that the record is based on.

        Takes one array per column, then the new versions of mutable rows, then (``gated``) the ledger keys.
        """
        insert = self._insert(table, numbers, seq=seq, workspace=workspace, gated=gated, source=source)
        if not table.mutable:
            return f"{insert} ON CONFLICT {_key(table)} DO NOTHING RETURNING id, 1::bigint AS sync_version"
        # The stamp is part of the comparison: without it an older edit could replace a newer one.
        # A row that another workspace owns is left to the second write, for its change_seq comes from that head.
        return (
            f"{insert} ON CONFLICT {_key(table)} DO UPDATE SET {_assignments(table)} "
            "WHERE t.sync_version = EXCLUDED.sync_version - 1 AND t.updated_at <= EXCLUDED.updated_at "
            "AND t.workspace_id = EXCLUDED.workspace_id RETURNING id, sync_version"
        )

    def _rewrite(self, table: Table) -> str:
        """The second write, of rows that won a conflict: takes the owner and its ``change_seq`` for each row."""
        numbers = count(1)
        insert = self._insert(table, numbers, seq="u.change_seq", workspace="u.owner", gated=False, with_owner=True)
        if not table.mutable:
            return f"{insert} ON CONFLICT {_key(table)} DO NOTHING RETURNING id, 1::bigint AS sync_version"
        return (
            f"{insert} ON CONFLICT {_key(table)} DO UPDATE SET {_assignments(table)} "
            "WHERE t.sync_version < EXCLUDED.sync_version AND t.updated_at <= EXCLUDED.updated_at "
            "RETURNING id, sync_version"
        )

    def _insert(
        self,
        table: Table,
        numbers: Iterator[int],
        *,
        seq: str,
        workspace: str,
        gated: bool,
        source: str = "",
        with_owner: bool = False,
    ) -> str:
        columns = stored_columns(table)
        has_workspace = table.kind is EntityType.SESSION
        names = [f'"{column.name}"' for column in columns]
        types = [PG_TYPES[column.kind] for column in columns]
        chosen = [workspace if column.name == "workspace_id" else f'u."{column.name}"' for column in columns]
        fields = list(names)
        if table.mutable:
            names.append("sync_version")
            chosen.append("u.sync_version")
            fields.append("sync_version")
            types.append("bigint")
        if not has_workspace:
            names.append("workspace_id")
            chosen.append(workspace)
        names.append("change_seq")
        chosen.append(seq)
        if with_owner:
            fields += ["owner", "change_seq"]
            types += ["uuid", "bigint"]
        if gated:
            fields.append("key")
            types.append("text")
        arrays = ", ".join(f"${next(numbers)}::{type_}[]" for type_ in types)
        # IS TRUE prevents a join that the planner cannot estimate; it makes this one hash probe per row.
        gate = "WHERE (u.key IN (SELECT idempotency_key FROM ledger)) IS TRUE" if gated else "WHERE true"
        return (
            f"INSERT INTO {self.schema}.{table.name} AS t ({', '.join(names)}) "  # noqa: S608
            f"SELECT {', '.join(chosen)} FROM {source}unnest({arrays}) AS u ({', '.join(fields)}) {gate}"
        )

    def _read(self, table: Table) -> str:
        """Select rows by session ids and ids, without artifact content."""
        owner = "" if table.kind is EntityType.SESSION else ", workspace_id"
        of_session = "" if table.kind is EntityType.SESSION else "session_id = ANY($1::uuid[]) AND "
        number = 1 if table.kind is EntityType.SESSION else 2
        return (
            f"SELECT {select_list(table)}{owner} FROM {self.schema}.{table.name} "  # noqa: S608
            f"WHERE {of_session}id = ANY(${number}::uuid[])"
        )

    def _fused(self) -> str:
        """Takes the head's parameters, the ledger's arrays, then the arrays of each of the six tables.

        Returns rows of (what, id, number, key). All six tables are always present: an empty array costs almost nothing,
        and a constant text means one prepared plan.
        """
        numbers = count(4)
        parts = [f"head AS ({self._head()})"]
        ledger = self._ledger(numbers, seq="head.change_seq", workspace="$1::uuid", source="head, ")
        parts.append(f"ledger AS ({ledger})")
        results = [
            "SELECT 'head' AS what, NULL::uuid AS id, change_seq AS number, NULL::text AS key FROM head",
            "SELECT 'ledger', NULL, NULL, idempotency_key FROM ledger",
        ]
        for kind, table in TABLES.items():
            write = self._write(
                table, numbers, seq="head.change_seq", workspace="$1::uuid", gated=True, source="head, "
            )
            parts.append(f"{table.name}_written AS ({write})")
            results.append(f"SELECT '{kind.value}', id, sync_version, NULL FROM {table.name}_written")  # noqa: S608
        return f"WITH {', '.join(parts)} {' UNION ALL '.join(results)}"


def _key(table: Table) -> str:
    return "(id)" if table.kind is EntityType.SESSION else "(session_id, id)"


def _assignments(table: Table) -> str:
    fixed = {"id", "session_id", "workspace_id"}
    names = [f'"{column.name}"' for column in stored_columns(table) if column.name not in fixed]
    names += ["sync_version", "change_seq"]
    return ", ".join(f"{name} = EXCLUDED.{name}" for name in names) + ", synced_at = now()"
