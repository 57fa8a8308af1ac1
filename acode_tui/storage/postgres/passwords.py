"""Finds the password of a connection: in the address, else by a command, else in libpq's password file."""

import asyncio

from acode_tui.config.postgres_address import PostgresTarget
from acode_tui.domain.secrets.known import Secret
from acode_tui.logs import add_secrets, get_logger
from acode_tui.storage.delivery_protocol import Fault, FaultKind, PostgresFault
from acode_tui.storage.postgres.password_command import PasswordCommandError, run_password_command
from acode_tui.storage.postgres.password_file import UnusablePasswordFile, password_from_file

log = get_logger("acode_tui.storage.postgres")


class PasswordSource:
    """The password of one target. A command is run once, and again when the server refuses what it printed."""

    def __init__(self, target: PostgresTarget, *, seconds: float) -> None:
        """``seconds`` is how long a command may take."""
        self.note = ""
        """Why the password file was not used; empty if it was, or does not exist."""
        self._target = target
        self._seconds = seconds
        self._printed: str | None = None
        self._running = asyncio.Lock()

    async def find(self) -> str | None:
        """The password; None if there is none. Raises PostgresFault (PASSWORD_COMMAND)."""
        target = self._target
        if target.password is not None:
            return target.password.reveal()
        if target.password_command is not None:
            return await self._run(target.password_command.reveal())
        if target.passfile is not None:
            return await self._look_up(target.passfile)
        return None

    def forget(self, refused: str) -> bool:
        """Forget what a command printed, since the server refused it. Returns whether another run may help."""
        if self._target.password is not None or self._target.password_command is None:
            return False
        if self._printed == refused:
            self._printed = None
        return True

    async def _run(self, command: str) -> str:
        async with self._running:
            if self._printed is None:
                try:
                    self._printed = await asyncio.to_thread(run_password_command, command, seconds=self._seconds)
                except PasswordCommandError as error:
                    raise PostgresFault(
                        Fault(
                            kind=FaultKind.PASSWORD_COMMAND,
                            sentence=f"persistence.postgres.password_command {error}",
                            hint="run it by hand to see why; its first line has to be the password",
                        )
                    ) from None
                add_secrets((Secret(self._printed),))
            return self._printed

    async def _look_up(self, path: str) -> str | None:
        try:
            password = await asyncio.to_thread(password_from_file, path, self._target)
        except UnusablePasswordFile as error:
            if self.note != str(error):
                self.note = str(error)
                log.warning("postgres.password_file", reason=self.note)
            return None
        self.note = ""
        if password is not None:
            add_secrets((Secret(password),))
        return password
