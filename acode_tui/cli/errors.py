"""Translates every exception to one line on standard error and an exit code, never to a traceback.

Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interruption. A closed pipe is a failure without a message.
"""

import errno
import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

from acode_tui.domain.errors import AcodeError

if TYPE_CHECKING:
    from acode_tui.domain.secrets.known import Secret

FAILURE = 1
WRONG_USAGE = 2
INTERRUPTED = 130

_HINTS = {
    errno.ENOSPC: "free some space and try again",
    errno.EDQUOT: "free some space and try again",
    errno.EACCES: "check the permissions",
    errno.EPERM: "check the permissions",
    errno.EROFS: "the file system is read-only; choose another path",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EISDIR: "name a file, not a folder",
    errno.EEXIST: "choose another name",
    errno.EMFILE: "raise the limit of open files",
}


def exit_code_of(work: Callable[[], Any], secrets: "Callable[[], Iterable[Secret]]") -> int:
    """Run ``work`` and return the exit code. An error is printed on standard error with its secrets removed."""
    try:
        result = work()
        sys.stdout.flush()
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.UsageError as error:
        _print_usage_error(error)
        return WRONG_USAGE
    except click.Abort as abort:
        # click raises Abort for an interruption, for the answer no, and at the end of input.
        cause = abort.__cause__ or abort.__context__
        if isinstance(cause, KeyboardInterrupt):
            click.echo("interrupted", err=True)
            return INTERRUPTED
        unanswered = isinstance(cause, EOFError)
        click.echo(
            "\naborted: nothing was changed; there was no answer; --force does not ask"
            if unanswered
            else "aborted: nothing was changed",
            err=True,
        )
        return FAILURE
    except click.ClickException as error:
        print_error(error.format_message(), secrets())
        return FAILURE
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return FAILURE
    except AcodeError as error:
        print_error(str(error), secrets())
        return FAILURE
    except OSError as error:
        print_error(describe_os_error(error), secrets())
        return FAILURE
    except Exception as error:  # noqa: BLE001 - the last resort: a traceback may contain a secret
        _report_defect(error, secrets())
        return FAILURE
    return result if isinstance(result, int) else 0


def describe_os_error(error: OSError) -> str:
    """An OSError as ``ACODE-IO-001: file: reason; hint``."""
    what = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes, os.PathLike)) else "input or output"
    hint = _HINTS.get(error.errno or 0, "check the path and try again")
    return f"ACODE-IO-001: {what}: {error.strerror or type(error).__name__}; {hint}"


def print_error(message: str, secrets: "Iterable[Secret]") -> None:
    """Print one line on standard error with the secrets removed."""
    click.echo(f"error: {_safe(message, secrets)}", err=True)


def _print_usage_error(error: click.UsageError) -> None:
    if error.ctx is not None:
        click.echo(error.ctx.get_usage(), err=True)
    hint = _misplaced(error) or (f"see `{error.ctx.command_path} --help`" if error.ctx is not None else "")
    message = error.format_message().rstrip(".") + _nearest_command(error)
    # A question ends a sentence, and so does the bracket of one.
    gap = " " if message.endswith(("?", "?)")) else "; "
    click.echo(gap.join(filter(None, (f"error: {_safe(message, ())}", hint))), err=True)


def _nearest_command(error: click.UsageError) -> str:
    """The command that a misspelt one is nearest to, where click does not name it itself; else empty."""
    context = error.ctx
    if context is None or not isinstance(context.command, click.Group):
        return ""
    beginning, _, rest = error.format_message().partition("'")
    if beginning != "No such command " or "Did you mean" in rest:
        return ""
    from difflib import get_close_matches

    near = get_close_matches(rest.partition("'")[0], context.command.list_commands(context), n=1)
    return f". Did you mean '{near[0]}'?" if near else ""


def _misplaced(error: click.UsageError) -> str:
    """A hint for an option of the program that was given after the command; else empty."""
    if not isinstance(error, click.NoSuchOption) or error.ctx is None or error.ctx.parent is None:
        return ""
    root = error.ctx.find_root()
    for each in root.command.params:
        if isinstance(each, click.Option) and not each.is_flag and error.option_name in each.opts:
            command = error.ctx.command_path.removeprefix(root.command_path)
            return f"give it before the command: `{root.command_path} {error.option_name} …{command}`"
    return ""


def _safe(message: str, secrets: "Iterable[Secret]") -> str:
    # Imported here so that `--help` starts faster: only errors need it.
    from acode_tui.domain.display import clean
    from acode_tui.domain.secrets.known import redact

    return clean(redact(message, secrets))


def _report_defect(error: Exception, secrets: "Iterable[Secret]") -> None:
    from acode_tui import logs
    from acode_tui.domain.secrets.redactor import Redactor

    logs.get_logger("acode_tui.cli").error("defect", exc_info=error)
    # An unforeseen error's message may quote any recorded text.
    message = Redactor().text(str(error))
    print_error(
        f"ACODE-000: unexpected {type(error).__name__}: {message}; this is a defect of acode-tui; "
        "see the log in .agent/logs",
        secrets,
    )


def _discard_output() -> None:
    """Prevent the interpreter from flushing to the closed pipe at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, sys.stdout.fileno())
    except (OSError, ValueError):
        return  # standard output is not a file: there is nothing to flush at exit
    finally:
        os.close(null)
