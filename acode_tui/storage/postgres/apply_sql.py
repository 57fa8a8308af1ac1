"""The SQL of the apply protocol, generated once per schema from the entities' columns. Values are always parameters.

One statement combines head, ledger, all six tables and the search index, so a batch of any size takes three round
trips. It takes arrays with one element per row, so its text is the same for one row or five hundred.
``apply_distributed`` has what is different where Citus distributes the tables.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count

from acode_tui.domain.incoming import MAX_NUMBER, IncomingRules
from acode_tui.domain.schema import TABLES, Column, Table
from acode_tui.domain.states import EntityType
from acode_tui.storage.postgres.identifiers import quoted_schema
from acode_tui.storage.postgres.incoming import incoming_list
from acode_tui.storage.postgres.lexemes import SEPARATOR
from acode_tui.storage.postgres.rows import PG_TYPES, READABLE_CONFLICT, stored_columns


class ApplyStatements:
    """The statements for one schema."""

    def __init__(self, schema: str, incoming: IncomingRules) -> None:
        """``incoming`` bounds the values of the rows that ``read`` selects."""
        self.schema = quoted_schema(schema)
        self._incoming = incoming
        self.head = self._head()
        self.rewrite = {kind: self._rewrite(table) for kind, table in TABLES.items()}
        self.read = {kind: self._read(table) for kind, table in TABLES.items()}
        self.pruned = f"SELECT session_id FROM {self.schema}.pruned_sessions WHERE session_id = ANY($1::uuid[])"  # noqa: S608
        self._fused_texts: dict[tuple[EntityType, ...], str] = {}
        self.search = self._search(count(3), seq="$1::bigint", workspace="$2::uuid")
        self.lexemes = (
            "SELECT session_id, tsvector_to_array(document) AS lexemes "  # noqa: S608
            f"FROM {self.schema}.session_search WHERE session_id = ANY($1::uuid[])"
        )
        self.pruned_and_lexemes = (
            f"SELECT * FROM (SELECT session_id, NULL::text[] AS lexemes FROM {self.schema}.pruned_sessions "  # noqa: S608
            f"WHERE session_id = ANY($1::uuid[]) UNION ALL {self.lexemes.replace('$1', '$2')}) AS u"
        )
        self.delivered = (
            f"SELECT idempotency_key, payload_sha256 FROM {self.schema}.sync_inbox "  # noqa: S608
            "WHERE session_id = ANY($1::uuid[]) AND idempotency_key = ANY($2::text[]) "
            f"AND key_digest = ANY(ARRAY(SELECT {digest_of('key')} FROM unnest($2::text[]) AS key))"
        )
        self.lock_head = f"SELECT 1 FROM {self.schema}.workspaces WHERE id = '{{}}' FOR NO KEY UPDATE"  # noqa: S608
        self.held_otherwise = self._held_otherwise()
        self.latest_cutoff = f"SELECT max(cutoff) FROM {self.schema}.prunes"  # noqa: S608
        self.stamps = {
            kind: f"SELECT id, updated_at FROM {self.schema}.{table.name} "  # noqa: S608
            f"WHERE {table.session_column} = ANY($1::uuid[]) AND id = ANY($2::uuid[])"
            for kind, table in TABLES.items()
        }
        self.number = f"SELECT change_seq FROM {self.schema}.workspaces WHERE id = $1"  # noqa: S608
        self.raise_heads = (
            f"UPDATE {self.schema}.workspaces SET change_seq = change_seq + 1 "  # noqa: S608
            f"WHERE id = ANY($1::uuid[]) AND change_seq < {MAX_NUMBER} RETURNING id, change_seq"
        )
        self.conflicts = (
            f"SELECT * FROM {self.schema}.sync_conflicts "  # noqa: S608
            f"WHERE session_id = ANY($1::uuid[]) AND idempotency_key = ANY($2::text[]) AND {READABLE_CONFLICT}"
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
        """Takes workspace, incarnation and the last known ``change_seq``.

        No row: the server was reset or restored, or has no number left to give.
        """
        return (
            f"UPDATE {self.schema}.workspaces SET change_seq = change_seq + 1, last_seen_at = now() "  # noqa: S608
            "WHERE id = $1::uuid AND incarnation = $2::uuid AND change_seq >= $3::bigint "
            f"AND change_seq < {MAX_NUMBER} RETURNING change_seq"
        )

    def _held_otherwise(self) -> str:
        """Which records the server had, although the ledger has no row of them any more, for it was pruned.

        Takes arrays of kinds, session ids, ids and stamps; returns the numbers of those records. A pruned session was
        here. Otherwise the row itself has to be here, not older than the record; and only a record from before the
        latest cutoff may be missing in the ledger.
        """
        rows = " OR ".join(
            f"u.kind = '{kind.value}' AND EXISTS (SELECT 1 FROM {self.schema}.{table.name} AS t "  # noqa: S608
            f"WHERE {'t.id = u.id' if kind is EntityType.SESSION else 't.session_id = u.session_id AND t.id = u.id'} "
            f"AND t.updated_at >= u.stamp)"
            for kind, table in TABLES.items()
        )
        return (
            "SELECT u.number FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::timestamptz[]) "  # noqa: S608
            "WITH ORDINALITY AS u (kind, session_id, id, stamp, number) "
            f"WHERE EXISTS (SELECT 1 FROM {self.schema}.pruned_sessions AS p WHERE p.session_id = u.session_id) "
            f"OR (u.stamp < (SELECT max(cutoff) FROM {self.schema}.prunes) AND ({rows}))"
        )

    def _ledger(
        self, numbers: Iterator[int], *, seq: str, workspace: str, source: str = "", where: str = "true"
    ) -> str:
        """Takes arrays of session ids, keys and digests, after the parameters of ``seq`` and ``workspace``."""
        arrays = ", ".join(f"${next(numbers)}::{type_}[]" for type_ in ("uuid", "text", "bytea"))
        return (
            f"INSERT INTO {self.schema}.sync_inbox "  # noqa: S608
            "(session_id, idempotency_key, workspace_id, payload_sha256, change_seq, key_digest) "
            f"SELECT u.session_id, u.key, {workspace}, u.digest, {seq}, {digest_of('u.key')} "
            f"FROM {source}unnest({arrays}) AS u (session_id, key, digest) WHERE {where} "
            f"{ON_KNOWN_KEY}"
        )

    def _write(self, table: Table, numbers: Iterator[int], *, seq: str, workspace: str, source: str) -> str:
        """The first write of a batch: insert, or update if the row still has the version that the record is based on.

        Takes one array per column, then the new versions of mutable rows, then the ledger keys.
        """
        insert = self._insert(table, numbers, seq=seq, workspace=workspace, gated=True, source=source)
        return f"{insert} {on_conflict_update(table)}"

    def _rewrite(self, table: Table) -> str:
        """The second write, of rows that won a conflict: takes the owner and its ``change_seq`` for each row.

        For mutable rows also the latest stamp that a row may have. A row's stamp and version never go down, unless they
        are none: nothing could follow them.
        """
        numbers = count(1)
        insert = self._insert(table, numbers, seq="u.change_seq", workspace="u.owner", gated=False, with_owner=True)
        return f"{insert} {on_conflict_rewrite(table, next(numbers) if table.mutable else 0)}"

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

    def _search(
        self,
        numbers: Iterator[int],
        *,
        seq: str,
        workspace: str,
        source: str = "",
        where: str = "true",
    ) -> str:
        """Adds lexemes to ``session_search``, without those that the session has already.

        Takes arrays of session ids, parts and joined lexemes.
        """
        arrays = ", ".join(f"${next(numbers)}::{type_}[]" for type_ in ("uuid", "integer", "text"))
        given = document_of("u.lexemes")
        known = (
            "ARRAY(SELECT unnest(tsvector_to_array(d.document)) "  # noqa: S608
            f"FROM {self.schema}.session_search AS d WHERE d.session_id = u.session_id)"
        )
        # OFFSET 0 keeps the planner from computing the document once for the comparison and once for the row.
        chosen = (
            f"CROSS JOIN LATERAL (SELECT ts_delete({given}, {known}) AS document OFFSET 0) AS n "
            f"WHERE length(n.document) > 0 AND {where}"
        )
        return (
            f"INSERT INTO {self.schema}.session_search (session_id, workspace_id, change_seq, part, document) "  # noqa: S608
            f"SELECT u.session_id, {workspace}, {seq}, u.part, n.document "
            f"FROM {source}unnest({arrays}) AS u (session_id, part, lexemes) {chosen}"
        )

    def _edited(self, table: Table, numbers: Mapping[str, int]) -> str:
        """Selects the sessions of rows whose new version lacks some text of the old one.

        ``numbers`` are those of the parameters, an array each, by column; those of the texts and ids at least.
        """
        types = {column.name: PG_TYPES[column.kind] for column in table.columns}
        wanted = {"id", "session_id", *TEXTS[table.kind]}
        names = [*(column.name for column in stored_columns(table) if column.name in wanted), "sync_version"]
        arrays = ", ".join(f"${numbers[name]}::{types[name]}[]" for name in names)
        gone = " OR ".join(_gone(name, types[name]) for name in TEXTS[table.kind])
        same = "t.id = u.id" if table.kind is EntityType.SESSION else "t.session_id = u.session_id AND t.id = u.id"
        # OFFSET 0: one look-up by key for each row, whatever the planner knows of the table.
        return (
            f"SELECT u.{table.session_column} AS session_id FROM unnest({arrays}) AS u ({', '.join(names)}) "  # noqa: S608
            f"CROSS JOIN LATERAL (SELECT 1 FROM {self.schema}.{table.name} AS t "
            f"WHERE {same} AND ({gone}) OFFSET 0) AS old "
            "WHERE u.sync_version > 1"
        )

    def _read(self, table: Table) -> str:
        """Select rows by session ids and ids, without artifact content."""
        owner = "" if table.kind is EntityType.SESSION else ", workspace_id"
        of_session = "" if table.kind is EntityType.SESSION else "session_id = ANY($1::uuid[]) AND "
        number = 1 if table.kind is EntityType.SESSION else 2
        return (
            f"SELECT {incoming_list(table, self._incoming)}{owner} FROM {self.schema}.{table.name} "  # noqa: S608
            f"WHERE {of_session}id = ANY(${number}::uuid[])"
        )

    def fused(self, kinds: tuple[EntityType, ...] = tuple(TABLES)) -> str:
        """The one statement of a batch that has rows of these kinds, in the order of ``TABLES``."""
        text = self._fused_texts.get(kinds)
        if text is None:
            text = self._fused_texts[kinds] = self._fused(kinds)
        return text

    def _fused(self, kinds: tuple[EntityType, ...]) -> str:
        """Takes the head's parameters, the ledger's arrays, the arrays of each of the tables, and the search's.

        Returns rows of (what, names, numbers), each with arrays, NULL where there is nothing: ids, keys and versions of
        all rows together, since a row of an answer costs either side more than what is in it.
        """
        numbers = count(4)
        edits = []
        parts = [f"head AS ({self._head()})"]
        # The ledger's sessions are the first array. Its rows gate the writes: nothing of a pruned session is written.
        parts.append(f"pruned AS ({self.pruned.replace('$1', '$4')})")
        stays = "u.session_id <> ALL (ARRAY(SELECT session_id FROM pruned))"
        ledger = self._ledger(numbers, seq="head.change_seq", workspace="$1::uuid", source="head, ", where=stays)
        parts.append(f"ledger AS ({ledger})")
        results = [
            "SELECT 'head' AS what, NULL::text[] AS names, array_agg(change_seq) AS numbers FROM head",
            "SELECT 'ledger', array_agg(idempotency_key), NULL FROM ledger",
        ]
        for kind in kinds:
            table = TABLES[kind]
            if kind in TEXTS:
                first = next(numbers)
                numbers = count(first)
                edits.append(self._edited(table, _numbered(stored_columns(table), first)))
            write = self._write(table, numbers, seq="head.change_seq", workspace="$1::uuid", source="head, ")
            parts.append(f"{table.name}_written AS ({write})")
            results.append(
                f"SELECT '{kind.value}', array_agg(id::text), array_agg(sync_version) FROM {table.name}_written"  # noqa: S608
            )
        search = self._search(numbers, seq="head.change_seq", workspace="$1::uuid", source="head, ", where=stays)
        parts.append(f"searched AS ({search})")
        if edits:
            # Before the writes of this very statement: it sees the rows as they were.
            parts.append(f"edits AS ({' UNION '.join(edits)})")
            results.append("SELECT 'edited', array_agg(session_id::text), NULL FROM edits")
        return f"WITH {', '.join(parts)} {' UNION ALL '.join(results)}"


TEXTS = {
    EntityType.SESSION: ("task_description", "metadata"),
    EntityType.SESSION_TASK: ("title", "description", "metadata"),
    EntityType.STEP: ("name", "description"),
    EntityType.TOOL_CALL: ("tool_name", "parameters", "result", "error_message"),
}
"""The columns with searched text that an update may change."""


def _numbered(columns: Sequence[Column], first: int) -> dict[str, int]:
    """The numbers of the parameters of these columns and of the new versions behind them, by name."""
    return {name: first + place for place, name in enumerate([*(column.name for column in columns), "sync_version"])}


def _gone(name: str, type_: str) -> str:
    """The condition that a column's new value ``u`` lacks a word of the old one ``t``, which had a value.

    Metadata grows while a run goes on: its new strings and keys may be more than the old ones.
    """
    changed = f"t.{name} IS NOT NULL AND t.{name} IS DISTINCT FROM u.{name}"
    if name != "metadata":
        return f"({changed})"
    strings = "jsonb_path_query_array({0}, '$.** ? (@.type() == \"string\")')"
    keys = "jsonb_path_query_array({0}, '$.** ? (@.type() == \"object\").keyvalue().key')"
    held = " AND ".join(f"{each.format(f'u.{name}')} @> {each.format(f't.{name}')}" for each in (strings, keys))
    return f"({changed} AND ({held}) IS NOT TRUE)"


def on_conflict_update(table: Table) -> str:
    """What the first write of a batch does with a row that is there: ids and versions of what was written are returned.

    The stamp is part of the comparison: without it an older edit could replace a newer one. A row that another
    workspace owns is left to the second write, for its ``change_seq`` comes from that head.
    """
    if not table.mutable:
        return f"ON CONFLICT {_key(table)} DO NOTHING RETURNING id, 1::bigint AS sync_version"
    return (
        f"ON CONFLICT {_key(table)} DO UPDATE SET {_assignments(table)} "
        "WHERE t.sync_version = EXCLUDED.sync_version - 1 AND t.updated_at <= EXCLUDED.updated_at "
        "AND t.workspace_id = EXCLUDED.workspace_id RETURNING id, sync_version"
    )


def on_conflict_rewrite(table: Table, latest: int) -> str:
    """The same for the second write; ``latest`` is the number of the parameter with the latest stamp of a row."""
    if not table.mutable:
        return f"ON CONFLICT {_key(table)} DO NOTHING RETURNING id, 1::bigint AS sync_version"
    return (
        f"ON CONFLICT {_key(table)} DO UPDATE SET {_assignments(table)} "
        f"WHERE (t.sync_version < EXCLUDED.sync_version OR t.sync_version NOT BETWEEN 0 AND {MAX_NUMBER}) "
        f"AND (t.updated_at <= EXCLUDED.updated_at OR t.updated_at > ${latest}::timestamptz) "
        "RETURNING id, sync_version"
    )


ON_KNOWN_KEY = "ON CONFLICT (session_id, key_digest) DO NOTHING RETURNING idempotency_key"
"""What an insert into the ledger does with a key that is there; new keys are returned."""


def digest_of(key: str) -> str:
    """The expression of a key's digest in the ledger."""
    return f"hashtextextended({key}, 0)"


def document_of(lexemes: str) -> str:
    """The expression of the document that joined lexemes make."""
    return f"array_to_tsvector(string_to_array({lexemes}, E'\\x{ord(SEPARATOR):02x}'))"


def _key(table: Table) -> str:
    return "(id)" if table.kind is EntityType.SESSION else "(session_id, id)"


def _assignments(table: Table) -> str:
    fixed = {"id", "session_id", "workspace_id"}
    names = [f'"{column.name}"' for column in stored_columns(table) if column.name not in fixed]
    names += ["sync_version", "change_seq"]
    return ", ".join(f"{name} = EXCLUDED.{name}" for name in names) + ", synced_at = EXCLUDED.synced_at"
