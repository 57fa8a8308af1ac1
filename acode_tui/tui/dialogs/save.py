"""Dialogs that write a file: where to, in which form, how it went. A name that is taken or refused can be corrected."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.widgets import Input, Static

from acode_tui.domain.entities import Artifact
from acode_tui.domain.quantities import counted, number, size
from acode_tui.tui.bindings import FORMS
from acode_tui.tui.dialogs.job import JobDialog
from acode_tui.tui.jobs import JobRun
from acode_tui.tui.ports import ExportForm
from acode_tui.tui.style.text import block, line, styled

if TYPE_CHECKING:
    from acode_tui.ops.export.export import ExportReport

_FORBIDDEN = frozenset("/\\\0")


class SavingDialog(JobDialog):
    """Asks for a path, and for a form where there are several."""

    BINDINGS: ClassVar[list[BindingType]] = [*FORMS]
    AGAIN: ClassVar[bool] = True
    FORMS: ClassVar[tuple[ExportForm, ...]] = ()

    def __init__(self, path: str = "", placeholder: str = "") -> None:
        super().__init__()
        self._path = path
        self._placeholder = placeholder
        self._form = 0
        self._ready = True

    def compose_asking(self) -> ComposeResult:
        yield Static("", id="forms", markup=False)
        yield Input(self._path, placeholder=self._placeholder, id="path", select_on_focus=False)
        yield Static(styled(f"a relative path starts at {line(str(Path.cwd()), 60)}", "$foreground-muted"), id="where")

    async def plan(self) -> None:
        if self._run is not None or not self._ready:
            return  # somebody was quicker than the first frame
        self.say(*self.asked())
        self._show_forms()
        self.make_ready()
        self.show_asking(True)

    def asked(self) -> list[Content]:
        """What would be written."""
        raise NotImplementedError

    def save(self, path: Path | None, form: ExportForm) -> JobRun | None:
        """Start writing; None means a name of its own."""
        raise NotImplementedError

    @property
    def form(self) -> ExportForm:
        return self.FORMS[self._form] if self.FORMS else "json"

    def begin(self) -> JobRun | None:
        typed = self.query_one(Input).value.strip()
        if not typed and not self._placeholder:
            return None
        return self.save(Path(typed).expanduser() if typed else None, self.form)

    def begun(self) -> None:
        super().begun()
        self.show_asking(False)
        if self.STOPS:
            self.query_one(".dialog").border_subtitle = "esc stops"

    def show_asking(self, shown: bool) -> None:
        for id in ("forms", "path", "where"):
            self.query_one(f"#{id}").display = shown
        self.query_one("#forms").display = shown and bool(self.FORMS)
        self.query_one(".dialog").border_subtitle = "enter writes · esc back" if shown else "esc back"
        if shown:
            self.query_one(Input).focus()

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self.action_begin()

    def action_form(self, direction: int) -> None:
        self._form = (self._form + direction) % len(self.FORMS)
        self._show_forms()

    def _show_forms(self) -> None:
        shown = self.query_one("#forms", Static)
        shown.display = bool(self.FORMS)
        parts = [(f" {form} ", "bold reverse" if form == self.form else "$foreground-muted") for form in self.FORMS]
        shown.update(Content.assemble(("form  ", "$foreground-muted"), *parts, ("  ↑ ↓ choose", "$foreground-muted")))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "form":
            return bool(self.FORMS)
        return super().check_action(action, parameters)


class SaveArtifact(SavingDialog):
    """One artifact's bytes, exactly as they were recorded."""

    JOB: ClassVar[str] = "save"
    TITLE: ClassVar[str] = "Save to a file"

    def __init__(self, artifact: Artifact) -> None:
        super().__init__(file_name(artifact.name))
        self._artifact = artifact

    def asked(self) -> list[Content]:
        said = f"{size(self._artifact.size)} of {line(self._artifact.name, 40)}, byte for byte."
        return [styled(said, "bold"), styled("A file that is there is not replaced.", "$foreground-muted"), Content("")]

    def save(self, path: Path | None, form: ExportForm) -> JobRun | None:
        return self.dashboard.actions.save(self._artifact, path) if path is not None else None

    def copies(self, result: Any) -> tuple[str, str] | None:
        return str(result), "path"

    def told(self, result: Any) -> list[Content]:
        return [styled("✓ Saved.", "bold $text-success"), Content(""), block(str(result), "$foreground")]


class ExportSession(SavingDialog):
    """One session as a report to read, or as JSON to read back."""

    JOB: ClassVar[str] = "export"
    TITLE: ClassVar[str] = "Export this session"
    STOPS: ClassVar[bool] = True
    FORMS: ClassVar[tuple[ExportForm, ...]] = ("markdown", "html", "json")

    def __init__(self, session_id: str, title: str) -> None:
        super().__init__(placeholder="a name of its own in .agent/exports")
        self._session_id = session_id
        self._title = title

    def asked(self) -> list[Content]:
        redacted = self.dashboard.settings.export.redact
        said = "What looks like a secret is hidden." if redacted else "export.redact is off: secrets are NOT hidden."
        return [
            block(line(self._title, 200), "bold"),
            styled(said, "$foreground-muted" if redacted else "$text-warning"),
            Content(""),
        ]

    def save(self, path: Path | None, form: ExportForm) -> JobRun | None:
        return self.dashboard.actions.export(self._session_id, form, path)

    def paced(self, run: JobRun) -> Content:
        rows = run.progress
        if rows is None or not rows.total:
            return styled("beginning…", "$foreground-muted")
        if rows.done >= rows.total:
            return styled(f"{number(rows.total)} rows read; putting the file together", "$foreground-muted")
        return styled(f"{number(rows.done)} of {number(rows.total)} rows", "$foreground-muted")

    def copies(self, result: Any) -> tuple[str, str] | None:
        report: ExportReport = result
        return report.path, "path"

    def told(self, result: Any) -> list[Content]:
        report: ExportReport = result
        return [
            styled("✓ Exported.", "bold $text-success"),
            Content(""),
            block(report.path, "$foreground"),
            styled(f"{size(report.size_bytes or 0)}, {_hidden(report)}", "$foreground-muted"),
        ]


def _hidden(report: "ExportReport") -> str:
    """What redaction did, in words."""
    if not report.redacted:
        return "nothing hidden: export.redact is off"
    return f"{counted(sum(report.redactions.values()), 'secret')} hidden"


def file_name(name: str) -> str:
    """The last part of a recorded name, fit for a file here: no separators, no control characters, not hidden."""
    last = line(name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1], 120)
    return "".join(char for char in last if char not in _FORBIDDEN).lstrip(".") or "artifact"
