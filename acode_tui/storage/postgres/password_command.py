"""Runs ``persistence.postgres.password_command``: a program that prints a password on its first line.

There is no shell, no terminal to ask on, and no current folder that a stranger may have written to. Nothing that the
program prints is shown or logged.
"""

import os
import select
import shlex
import signal
import subprocess
import time
from contextlib import suppress

from acode_tui.home import home
from acode_tui.processes import find_program

_LARGEST_OUTPUT = 1 << 16
"""Bytes on standard output, all lines together."""


class PasswordCommandError(Exception):
    """The command gave no password. The text says why, without the command's arguments or output."""


def split_command(command: str) -> list[str]:
    """The program and its arguments, quoted as in a shell; ``~/`` at their beginning is the home folder.

    Raises ValueError if there is none, or a quote is not closed.
    """
    arguments = [os.path.expanduser(each) if each.startswith("~/") else each for each in shlex.split(command)]
    if not arguments:
        raise ValueError("empty")
    return arguments


def run_password_command(command: str, *, seconds: float) -> str:
    """The first line that the command prints within ``seconds``. Blocks. Raises PasswordCommandError."""
    arguments = split_command(command)
    if os.sep not in arguments[0]:
        # Not by the system's search, which would take a relative entry of PATH too.
        program = find_program(arguments[0])
        if program is None:
            raise PasswordCommandError("names a program that does not exist")
        arguments[0] = program
    try:
        process = subprocess.Popen(  # noqa: S603
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=home(),
            # A group of its own, so that whatever it has started ends with it.
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else "cannot be run"
        raise PasswordCommandError(f"names a program that {reason}") from None
    try:
        output = _read(process, time.monotonic() + seconds)
    except TimeoutError:
        raise PasswordCommandError(f"did not end within {seconds:g} s") from None
    finally:
        _end(process)
    if process.returncode != 0:
        raise PasswordCommandError(f"ended with exit code {process.returncode}")
    line = output.split(b"\n", 1)[0].rstrip(b"\r")
    try:
        password = line.decode()
    except UnicodeDecodeError:
        raise PasswordCommandError("printed a line that is not UTF-8") from None
    if not password or "\x00" in password:
        raise PasswordCommandError("printed no password on its first line")
    return password


def _read(process: "subprocess.Popen[bytes]", until: float) -> bytes:
    """Everything that the process prints until it has ended. Raises TimeoutError."""
    assert process.stdout is not None
    output = bytearray()
    while True:
        left = until - time.monotonic()
        if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
            raise TimeoutError
        read = os.read(process.stdout.fileno(), 4096)
        if not read:
            break
        output += read
        if len(output) > _LARGEST_OUTPUT:
            raise PasswordCommandError("printed more than a password")
    try:
        process.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    return bytes(output)


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.returncode is None:
        # It may have ended meanwhile.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert process.stdout is not None
    process.stdout.close()
