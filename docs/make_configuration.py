"""Writes docs/configuration.md from the table of settings: `uv run python docs/make_configuration.py`."""

from pathlib import Path

from acode_tui.config import keys
from acode_tui.config.trust_rules import needs_trust

TARGET = Path(__file__).with_name("configuration.md")

_HEAD = """\
# Configuration

Made by `docs/make_configuration.py` from the settings' own definitions; not edited by hand.

Values come from five places; the later one wins:

1. the defaults below;
2. your own file, for every workspace: `acode-tui config path` says where it is;
3. the workspace's file, `.agent/config.toml`;
4. environment variables: each key has one, named `ACODE_` + the key in capitals, dots as `__`
   (`tui.page_size` is `ACODE_TUI__PAGE_SIZE`);
5. `--set KEY=VALUE` before a command, for that run alone: `acode-tui --set tui.page_size=20`.

`acode-tui config show` prints every value and where it came from, `acode-tui config set KEY VALUE` writes one,
`acode-tui config unset KEY` removes it, so that the next lower place counts, and `acode-tui config init`
writes a file with all of them commented out. Unknown keys, wrong types and values out of range are refused by name.
A running dashboard or headless worker takes up a changed file within five seconds.

## Which file is trusted

A workspace's file may come from a repository, so a stranger may have written it. A setting marked `*` below chooses
where runs are sent, which secret is sent, or which path is read or written: from `.agent/config.toml` it counts only
after you approved the file. Your own file, the environment and `--set` are never asked about.

```sh
acode-tui trust --show     # what the file asks for; exits with 1 if it is not trusted
acode-tui trust            # approves what it prints
acode-tui trust --revoke
```

A file that changes asks again. What `config set` or the settings screen writes into a new or trusted file is approved;
a file that is not trusted stays so. Until then the other settings of the file count, and everything local works.
`status`, `config show` and the log say what is left out. Values that send less, `postgres.enabled = false` and
`redact = true`, need no approval. Approvals are kept by folder and content in `acode-tui/trust.json`, in the folder for
state (`XDG_STATE_HOME`, `~/.local/state`).

An `.agent` folder of another user is not opened before `acode-tui trust` allows it.

## PostgreSQL and passwords

Nothing is sent anywhere until `persistence.postgres.enabled` is true. The address comes from the variable that
`persistence.postgres.connection_string_env` names, as a URL or as a key=value string:

```sh
export ACODE_POSTGRES_URL='postgresql://me:p%40ss@db.example:5432/runs'
acode-tui config set persistence.postgres.enabled true
```

Characters such as `@ : / % ?` in a password have to be percent-encoded in a URL. Instead of a URL, `host`, `port`,
`database` and `username` may be set. A password in a file of settings is refused. It is taken from the first of these
that has one:

1. the environment: the URL, or the variable that `password_env` names where `host` is set;
2. `password_command`, a program that prints the password on its first line, such as `pass show team/db`. It is split
   as by a shell and run without one, in the home folder, without a terminal to ask on, for at most
   `connect_timeout_seconds`. It runs when the first connection is made, and again once the server refuses what it
   printed. What it prints is kept in memory, and neither shown nor logged. If it fails, the sync is `auth_failed`;
3. libpq's password file, `~/.pgpass` or what the variable `PGPASSFILE` names, by libpq's rules: a line is
   `host:port:database:user:password`, with `*` for any value and a backslash before `:` and `\\`. A file that others
   may read is not used, and that is said.

A missing variable only leaves the sync `misconfigured`: recording goes on. The other places where libpq looks are not
used: `PGPASSWORD`, `PGHOST` and the like, and service files.

TLS and the certificate's name are verified (`sslmode=verify-full`), except on loopback and sockets; weaker modes count
if they are named. [postgres.md](postgres.md) has more about TLS, and which options an address may have.

## Other environment variables

| Variable | Meaning |
|---|---|
| `ACODE_POSTGRES_URL` | The address of PostgreSQL, see above |
| `ACODE_WORKSPACE` | The workspace's folder, or a `postgresql://` URL of a database, unless `--workspace` is given |
| `ACODE_LOG_LEVEL` | `debug`, `info`, `warning` or `error`, unless `--log-level` is given |
| `NO_COLOR` | Any value: no colours |
"""


def render() -> str:
    """The whole page."""
    lines = [_HEAD]
    section = None
    for key in keys.table().values():
        if key.section != section:
            section = key.section
            lines.append(f"\n## `[{section}]`\n\n| Key | Default | Allowed | Meaning |\n|---|---|---|---|\n")
        mark = r" \*" if needs_trust(key.name) else ""
        lines.append(f"| `{key.leaf}`{mark} | {key.default_text} | {key.allowed} | {key.doc} |\n")
    return "".join(lines)


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
