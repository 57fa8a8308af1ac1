"""acode-tui: a flight recorder for AI-agent runs. This module is the public Python API, nothing else.

Names are loaded when they are first used, so ``import acode_tui`` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from acode_tui.version import VERSION

__version__ = VERSION

_PUBLIC = {
    "AcodeError": "acode_tui.domain.errors",
    "Artifact": "acode_tui.domain.entities",
    "ArtifactType": "acode_tui.domain.states",
    "EntityType": "acode_tui.domain.states",
    "SearchHit": "acode_tui.storage.ports",
    "SearchPage": "acode_tui.storage.ports",
    "Session": "acode_tui.domain.entities",
    "SessionEvent": "acode_tui.domain.entities",
    "SessionFilter": "acode_tui.storage.ports",
    "SessionGraph": "acode_tui.domain.entities",
    "SessionPage": "acode_tui.storage.ports",
    "SessionState": "acode_tui.domain.states",
    "SessionSummary": "acode_tui.domain.entities",
    "SessionTask": "acode_tui.domain.entities",
    "Step": "acode_tui.domain.entities",
    "StepState": "acode_tui.domain.states",
    "TaskState": "acode_tui.domain.states",
    "ToolCall": "acode_tui.domain.entities",
    "ToolCallState": "acode_tui.domain.states",
    "Workspace": "acode_tui.workspace",
    "open_workspace": "acode_tui.workspace",
    "recorder": "",
    "tool": "acode_tui.recorder",
}
"""The module that each name is loaded from; a module of this package is loaded as itself."""

if TYPE_CHECKING:
    from acode_tui import recorder as recorder
    from acode_tui.domain.entities import (
        Artifact as Artifact,
    )
    from acode_tui.domain.entities import (
        Session as Session,
    )
    from acode_tui.domain.entities import (
        SessionEvent as SessionEvent,
    )
    from acode_tui.domain.entities import (
        SessionGraph as SessionGraph,
    )
    from acode_tui.domain.entities import (
        SessionSummary as SessionSummary,
    )
    from acode_tui.domain.entities import (
        SessionTask as SessionTask,
    )
    from acode_tui.domain.entities import (
        Step as Step,
    )
    from acode_tui.domain.entities import (
        ToolCall as ToolCall,
    )
    from acode_tui.domain.errors import AcodeError as AcodeError
    from acode_tui.domain.states import (
        ArtifactType as ArtifactType,
    )
    from acode_tui.domain.states import (
        EntityType as EntityType,
    )
    from acode_tui.domain.states import (
        SessionState as SessionState,
    )
    from acode_tui.domain.states import (
        StepState as StepState,
    )
    from acode_tui.domain.states import (
        TaskState as TaskState,
    )
    from acode_tui.domain.states import (
        ToolCallState as ToolCallState,
    )
    from acode_tui.recorder import tool as tool
    from acode_tui.storage.ports import SearchHit as SearchHit
    from acode_tui.storage.ports import SearchPage as SearchPage
    from acode_tui.storage.ports import SessionFilter as SessionFilter
    from acode_tui.storage.ports import SessionPage as SessionPage
    from acode_tui.workspace import Workspace as Workspace
    from acode_tui.workspace import open_workspace as open_workspace

__all__ = sorted((*_PUBLIC, "__version__"))


def __getattr__(name: str) -> Any:
    module = _PUBLIC.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if not module:
        return import_module(f"{__name__}.{name}")
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return list(__all__)
