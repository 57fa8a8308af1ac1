"""Dialogs that write a file: its path, its form, the result. After an error the path can be corrected."""

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


class SaveDialog(JobDialog):
    """Asks for a path, and for a form if there are several."""

    BINDINGS: ClassVar[list[BindingType]] = [*FORMS]
    CAN_RETRY: ClassVar[bool] = True
    FORMS: ClassVar[tuple[ExportForm, ...]] = ()

    def __init__(self, path: str = "", placeholder: str = "") -> None:
        super().__init__()
        self._path = path
        self._placeholder = placeholder
        self._form = 0
        self._ready = True

    def compose_inputs(self) -> ComposeResult:
        yield Static("", id="forms", markup=False)
        yield Input(self._path, placeholder=self._placeholder, id="path", select_on_focus=False)
        yield Static(styled(f"a relative path starts at {line(str(Path.cwd()), 60)}", "$foreground-muted"), id="where")

    async def show_plan(self) -> None:
        if self._run is not None or not self._ready:
            return  # the path was submitted before the first frame
        self.show_text(*self.plan_lines())
        self._show_forms()
        self.set_ready()
        self.show_inputs(True)

    def plan_lines(self) -> list[Content]:
        """What would be written."""
        raise NotImplementedError

    def save(self, path: Path | None, form: ExportForm) -> JobRun | None:
        """Start the job that writes the file; without a path it chooses a name."""
        raise NotImplementedError

    @property
    def form(self) -> ExportForm:
        return self.FORMS[self._form] if self.FORMS else "json"

    def start(self) -> JobRun | None:
        text = self.query_one(Input).value.strip()
        if not text and not self._placeholder:
            return None
        return self.save(Path(text).expanduser() if text else None, self.form)

    def started(self) -> None:
        super().started()
        self.show_inputs(False)
        if self.CAN_STOP:
            self.query_one(".dialog").border_subtitle = "esc stops"

    def show_inputs(self, shown: bool) -> None:
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
        forms = self.query_one("#forms", Static)
        forms.display = bool(self.FORMS)
        parts = [(f" {form} ", "bold reverse" if form == self.form else "$foreground-muted") for form in self.FORMS]
        forms.update(Content.assemble(("form  ", "$foreground-muted"), *parts, ("  ↑ ↓ choose", "$foreground-muted")))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "form":
            return bool(self.FORMS)
        return super().check_action(action, parameters)


class SaveArtifactDialog(SaveDialog):
    """Saves the bytes of one artifact, exactly as they were recorded."""

    JOB: ClassVar[str] = "save"
    TITLE: ClassVar[str] = "Save to a file"

    def __init__(self, artifact: Artifact) -> None:
        super().__init__(file_name(artifact.name))
        self._artifact = artifact

    def plan_lines(self) -> list[Content]:
        text = f"{size(self._artifact.size)} of {line(self._artifact.name, 40)}, byte for byte."
        return [styled(text, "bold"), styled("An existing file is not replaced.", "$foreground-muted"), Content("")]

    def save(self, path: Path | None, form: ExportForm) -> JobRun | None:
        return self.dashboard.actions.save(self._artifact, path) if path is not None else None

    def copy_text(self, result: Any) -> tuple[str, str] | None:
        return str(result), "path"

    def result_lines(self, result: Any) -> list[Content]:
        return [styled("✓ Saved.", "bold $text-success"), Content(""), block(str(result), "$foreground")]


class ExportSessionDialog(SaveDialog):
    """Exports one session as a report to read, or as JSON that can be imported."""

    JOB: ClassVar[str] = "export"
    TITLE: ClassVar[str] = "Export this session"
    CAN_STOP: ClassVar[bool] = True
    FORMS: ClassVar[tuple[ExportForm, ...]] = ("markdown", "html", "json")

    def __init__(self, session_id: str, title: str) -> None:
        super().__init__(placeholder="a name of its own in .agent/exports")
        self._session_id = session_id
        self._title = title

    def plan_lines(self) -> list[Content]:
        redacted = self.dashboard.settings.export.redact
        notice = "Known shapes of secrets are hidden." if redacted else "export.redact is off: secrets are NOT hidden."
        return [
            block(line(self._title, 200), "bold"),
            styled(notice, "$foreground-muted" if redacted else "$text-warning"),
            Content(""),
        ]

    def save(self, path: Path | None, form: ExportForm) -> JobRun | None:
        return self.dashboard.actions.export(self._session_id, form, path)

    def progress_text(self, run: JobRun) -> Content:
        rows = run.progress
        if rows is None or not rows.total:
            return styled("beginning…", "$foreground-muted")
        if rows.done >= rows.total:
            return styled(f"{number(rows.total)} rows read; putting the file together", "$foreground-muted")
        return styled(f"{number(rows.done)} of {number(rows.total)} rows", "$foreground-muted")

    def copy_text(self, result: Any) -> tuple[str, str] | None:
        report: ExportReport = result
        return report.path, "path"

    def result_lines(self, result: Any) -> list[Content]:
        report: ExportReport = result
        return [
            styled("✓ Exported.", "bold $text-success"),
            Content(""),
            block(report.path, "$foreground"),
            styled(f"{size(report.size_bytes or 0)}, {_redaction_text(report)}", "$foreground-muted"),
        ]


def _redaction_text(report: "ExportReport") -> str:
    """How many secrets were redacted, in words."""
    if not report.redacted:
        return "nothing hidden: export.redact is off"
    return f"{counted(sum(report.redactions.values()), 'secret')} hidden"


def file_name(name: str) -> str:
    """The last part of a recorded name as a safe file name: no separators, no control characters, not hidden."""
    last = line(name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1], 120)
    return "".join(char for char in last if char not in _FORBIDDEN).lstrip(".") or "artifact"
