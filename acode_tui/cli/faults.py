"""Where every fault ends: one line on standard error and an exit code, never a traceback.

0 is success, 1 a fault, 2 wrong usage, 130 an interruption. A reader that went away is a fault without words.
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

FAULT = 1
USAGE = 2
INTERRUPTED = 130

_HINTS = {
    errno.ENOSPC: "free some space and try again",
    errno.EDQUOT: "free some space and try again",
    errno.EACCES: "check the permissions",
    errno.EPERM: "check the permissions",
    errno.EROFS: "the file system is read-only; choose another place",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EISDIR: "name a file, not a folder",
    errno.EEXIST: "choose another name",
    errno.EMFILE: "raise the limit of open files",
}


def guarded(work: Callable[[], Any], secrets: "Callable[[], Iterable[Secret]]") -> int:
    """Run ``work`` and answer the exit code; what went wrong is said on standard error, secrets removed."""
    try:
        answer = work()
        sys.stdout.flush()
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.UsageError as error:
        _say_usage(error)
        return USAGE
    except click.Abort as abort:
        # click turns an interruption into an Abort, as it does a question that was answered with no.
        cause = abort.__cause__ or abort.__context__
        if isinstance(cause, KeyboardInterrupt):
            click.echo("interrupted", err=True)
            return INTERRUPTED
        unanswered = isinstance(cause, EOFError)
        click.echo(
            "\naborted: nothing was changed; nobody answered, and --force does not ask"
            if unanswered
            else "aborted: nothing was changed",
            err=True,
        )
        return FAULT
    except click.ClickException as error:
        say(error.format_message(), secrets())
        return FAULT
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        _forget_output()
        return FAULT
    except AcodeError as error:
        say(str(error), secrets())
        return FAULT
    except OSError as error:
        say(describe_os_error(error), secrets())
        return FAULT
    except Exception as error:  # noqa: BLE001 - the last line of defence: a traceback may hold a secret
        _report_defect(error, secrets())
        return FAULT
    return answer if isinstance(answer, int) else 0


def describe_os_error(error: OSError) -> str:
    """``ACODE-IO-001: what; why; what to do``."""
    what = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes, os.PathLike)) else "input or output"
    hint = _HINTS.get(error.errno or 0, "check the path and try again")
    return f"ACODE-IO-001: {what}: {error.strerror or type(error).__name__}; {hint}"


def say(message: str, secrets: "Iterable[Secret]") -> None:
    """One line on standard error, secrets removed."""
    click.echo(f"error: {_shown(message, secrets)}", err=True)


def _say_usage(error: click.UsageError) -> None:
    if error.ctx is not None:
        click.echo(error.ctx.get_usage(), err=True)
    hint = _misplaced(error) or (f"see `{error.ctx.command_path} --help`" if error.ctx is not None else "")
    click.echo("; ".join(filter(None, (f"error: {_shown(error.format_message().rstrip('.'), ())}", hint))), err=True)


def _misplaced(error: click.UsageError) -> str:
    """Where an option belongs that the program has, and the command behind it has not."""
    if not isinstance(error, click.NoSuchOption) or error.ctx is None or error.ctx.parent is None:
        return ""
    root = error.ctx.find_root()
    for each in root.command.params:
        if isinstance(each, click.Option) and not each.is_flag and error.option_name in each.opts:
            command = error.ctx.command_path.removeprefix(root.command_path)
            return f"it stands before the command: `{root.command_path} {error.option_name} …{command}`"
    return ""


def _shown(message: str, secrets: "Iterable[Secret]") -> str:
    # Here, not above: where nothing goes wrong nothing has to be hidden, and `--help` starts sooner.
    from acode_tui.domain.display import clean
    from acode_tui.domain.secrets.known import redact

    return clean(redact(message, secrets))


def _report_defect(error: Exception, secrets: "Iterable[Secret]") -> None:
    from acode_tui import logs

    logs.get_logger("acode_tui.cli").error("defect", exc_info=error)
    say(
        f"ACODE-000: unexpected {type(error).__name__}: {error}; this is a defect of acode-tui; "
        "the log in .agent/logs has the details",
        secrets,
    )


def _forget_output() -> None:
    """Keep the interpreter from flushing into the closed pipe once more at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    except (OSError, ValueError):
        return  # standard output is not a file here: there is nothing to flush at exit
    finally:
        os.close(nowhere)
