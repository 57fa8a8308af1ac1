"""How a fault is told on a screen itself, beside the toast that goes away: what, why, what to do, its code."""

from textual.content import Content

from acode_tui.domain.errors import AcodeError
from acode_tui.tui.style.text import block, styled


def told_fault(error: AcodeError) -> list[Content]:
    """A fault, a line a part."""
    said = [Content.assemble(("✗ ", "$text-error"), block(error.message, "$text-error", max_chars=1_000))]
    if error.hint:
        said += [Content(""), block(error.hint, "$foreground", max_chars=1_000)]
    return [*said, Content(""), styled(error.code, "$foreground-muted")]
