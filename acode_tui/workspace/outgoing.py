"""What goes to the team is redacted, as ``persistence.sync.redact`` says."""

import os

from acode_tui.config import Settings
from acode_tui.domain.redaction import TEAM_KEEPS, E, RowRedactor


class OutgoingRedaction:
    """The redaction of rows for the team by the settings of the moment. A call returns the row as the team gets it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._redactor: RowRedactor | None = None

    def configure(self, settings: Settings) -> None:
        """Follow changed settings from the next row on."""
        self._settings, self._redactor = settings, None

    def __call__(self, entity: E) -> E:
        settings, redactor = self._settings, self._redactor
        if not settings.persistence.sync.redact:
            return entity
        if redactor is None:
            # Made for the first row: a process that sends nothing loads no rules.
            homes = (os.path.expanduser("~"),)
            redactor = self._redactor = RowRedactor(settings.export.patterns, homes=homes, keeps=TEAM_KEEPS)
        return redactor.row(entity)
