"""``config``: shows settings with their origin, and changes them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from acode_tui.cli.invocation import Invocation, pass_invocation
from acode_tui.cli.options import complete_key, examples, json_option
from acode_tui.cli.output import Column, exact, print_json, print_table
from acode_tui.config import (
    LoadedSettings,
    Origin,
    PostgresTarget,
    holds_address,
    keys,
    resolve_postgres,
    user_config_path,
    workspace_config_path,
)
from acode_tui.config.load import check_file_value, load
from acode_tui.domain.display import clean
from acode_tui.domain.errors import ConfigError
from acode_tui.domain.secrets.known import redact

_user_option = click.option("--user", is_flag=True, help="Use the file for all your workspaces, not this workspace's.")


@click.group("config", epilog=examples("acode-tui config set persistence.postgres.enabled true"))
def command() -> None:
    """Show and change settings."""


@command.command("show", epilog=examples("acode-tui config show", "acode-tui config show persistence.sync --json"))
@click.argument("prefix", required=False, default="")
@json_option
@pass_invocation
def show(invocation: Invocation, prefix: str, as_json: bool) -> None:
    """Show every setting (or those below PREFIX), its value and its origin."""
    loaded = load(invocation.root, environ=invocation.environ)
    names = [name for name in loaded.values if f"{name}.".startswith(f"{prefix}." if prefix else "")]
    if not names:
        keys.find(prefix)
    connection = _connection(loaded, invocation.environ) if any(map(_is_postgres_setting, names)) else None
    if as_json:
        settings = [
            {
                "key": name,
                "value": _masked(loaded.values[name]),
                "origin": loaded.origins[name],
                "default": key.default,
                "withheld": _masked(loaded.withheld.get(name)),
            }
            for name, key in keys.table().items()
            if name in names
        ]
        files = [{"path": str(path), "exists": os.path.isfile(path)} for path in loaded.files]
        print_json({"settings": settings, "files": files, "connection": connection, "trusted": loaded.trusted})
        return
    shown = {name: keys.format_value(_masked(loaded.values[name])) or "-" for name in names}
    rows = [(name, shown[name], _source(loaded, name)) for name in names]
    if connection is not None:
        rows.append((connection["variable"], connection["address"] or connection["reason"], Origin.ENV.words))
    print_table([Column("setting"), Column("value", flexible=True), Column("from")], rows)
    _print_withheld(loaded, names)


@command.command("get", epilog=examples("acode-tui config get persistence.sync.interval_seconds"))
@click.argument("key", shell_complete=complete_key)
@json_option
@pass_invocation
def get(invocation: Invocation, key: str, as_json: bool) -> None:
    """Print one setting's value."""
    name = keys.find(key).name
    loaded = load(invocation.root, environ=invocation.environ)
    value = _masked(loaded.values[name])
    if as_json:
        print_json({"key": name, "value": value, "origin": loaded.origins[name]})
    else:
        shown = value if isinstance(value, str) else keys.format_value(value)
        click.echo(exact(shown))
    _print_withheld(loaded, [name])


@command.command(
    "set",
    epilog=examples(
        "acode-tui config set persistence.postgres.enabled true",
        "acode-tui config set --user tui.theme nord",
        "acode-tui config set export.patterns '[\"corp-[0-9]+\"]'",
    ),
)
@click.argument("key", shell_complete=complete_key)
@click.argument("value")
@_user_option
@pass_invocation
def set_(invocation: Invocation, key: str, value: str, user: bool) -> None:
    """Write one setting to the workspace's file. A running dashboard or worker reloads it automatically."""
    from acode_tui.config.write import write_setting

    setting = keys.find(key)
    checked = check_file_value(setting, keys.parse(setting, value))
    path = _config_path(invocation, user)
    write_setting(invocation.root, path, setting, checked, invocation.environ)
    click.echo(exact(f"{setting.name} = {keys.format_value(checked)}  ({path})"))
    _print_untrusted(invocation, user)


@command.command(
    "unset",
    epilog=examples(
        "acode-tui config unset persistence.sync.interval_seconds",
        "acode-tui config unset --user tui.theme",
    ),
)
@click.argument("key", shell_complete=complete_key)
@_user_option
@pass_invocation
def unset(invocation: Invocation, key: str, user: bool) -> None:
    """Remove one setting from the workspace's file, so that the next weaker source or the default applies."""
    from acode_tui.config.write import remove_setting

    setting = keys.find(key)
    path = _config_path(invocation, user)
    removed = remove_setting(invocation.root, path, setting, invocation.environ)
    loaded = load(invocation.root, environ=invocation.environ)
    shown = keys.format_value(_masked(loaded.values[setting.name])) or "-"
    note = "" if removed else "was not set; "
    click.echo(exact(f"{setting.name} = {shown}  ({note}{loaded.origins[setting.name].words})"))
    _print_untrusted(invocation, user)


@command.command("init", epilog=examples("acode-tui config init"))
@_user_option
@click.option("--force", is_flag=True, help="Replace an existing file.")
@pass_invocation
def init(invocation: Invocation, user: bool, force: bool) -> None:
    """Write a file with every setting commented out."""
    from acode_tui.config.edit import template
    from acode_tui.config.write import write_config_file

    path = _config_path(invocation, user)
    if path.exists() and not force:
        raise ConfigError(f"{path}: already exists", hint="edit it, or use --force to replace it")
    write_config_file(invocation.root, path, template(), invocation.environ)
    click.echo(exact(str(path)))


@command.command("path", epilog=examples("acode-tui config path"))
@json_option
@pass_invocation
def path(invocation: Invocation, as_json: bool) -> None:
    """Print the paths of the files, the stronger one first."""
    paths: dict[str, Path] = {
        "workspace": workspace_config_path(invocation.root),
        "user": user_config_path(invocation.environ),
    }
    if as_json:
        print_json({name: str(each) for name, each in paths.items()})
        return
    rows = [(name, each, "" if os.path.isfile(each) else "missing") for name, each in paths.items()]
    print_table([Column("file"), Column("path", flexible=True), Column("")], rows)


def _source(loaded: LoadedSettings, name: str) -> str:
    """Where a value comes from, and that the workspace's file has another one that does not count."""
    words = loaded.origins[name].words
    return f"{words} (file not trusted)" if name in loaded.withheld else words


def _print_withheld(loaded: LoadedSettings, names: Sequence[str]) -> None:
    """Say on standard error which values of the workspace's file do not count, and why."""
    for name in names:
        if name in loaded.withheld:
            value = redact(keys.format_value(loaded.withheld[name]))
            click.echo(clean(f"left out: {name} = {value} of {loaded.files[1]}, which is not trusted"), err=True)
    if any(name in loaded.withheld for name in names):
        click.echo("see `acode-tui trust --show`, then approve the file with `acode-tui trust`", err=True)


def _print_untrusted(invocation: Invocation, user: bool) -> None:
    """Say on standard error that the file written to is not trusted, if that leaves settings of it out."""
    withheld = () if user else load(invocation.root, environ=invocation.environ).withheld
    if withheld:
        click.echo(
            f"this file is not trusted, so these settings do not count: {', '.join(withheld)}; "
            "see `acode-tui trust --show`, then approve the file with `acode-tui trust`",
            err=True,
        )


def _is_postgres_setting(name: str) -> bool:
    return name.startswith("persistence.postgres.")


def _connection(loaded: LoadedSettings, environ: Mapping[str, str]) -> dict[str, Any] | None:
    """The address in the environment variable, without its secrets; None if the settings contain the address."""
    settings = loaded.settings.persistence.postgres
    if not holds_address(settings, environ):
        return None
    target = resolve_postgres(settings, environ)
    return {
        "variable": settings.connection_string_env,
        "origin": Origin.ENV,
        "address": target.display if isinstance(target, PostgresTarget) else None,
        "reason": None if isinstance(target, PostgresTarget) else target.reason,
    }


def _masked(value: Any) -> Any:
    """A value without secrets. Files contain none; the environment and the command line may."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, (list, tuple)):
        return [_masked(item) for item in value]
    if isinstance(value, dict):
        return {name: _masked(item) for name, item in value.items()}
    return value


def _config_path(invocation: Invocation, user: bool) -> Path:
    return user_config_path(invocation.environ) if user else workspace_config_path(invocation.root)
