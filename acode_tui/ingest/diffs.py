"""Unified diffs from what edit tools leave behind: hunks, or the texts before and after."""

from typing import Any

from acode_tui.ingest.records import number


def diff_of_patch(path: str, patch: Any) -> str:
    """The diff of a list of hunks (``structuredPatch``); empty if it is none."""
    if type(patch) is not list:
        return ""
    lines: list[str] = []
    for hunk in patch:
        if type(hunk) is not dict or type(hunk.get("lines")) is not list:
            continue
        before = f"{number(hunk.get('oldStart'))},{number(hunk.get('oldLines'))}"
        after = f"{number(hunk.get('newStart'))},{number(hunk.get('newLines'))}"
        lines.append(f"@@ -{before} +{after} @@")
        lines += [line for line in hunk["lines"] if type(line) is str]
    return "\n".join([f"--- {path}", f"+++ {path}", *lines, ""]) if lines else ""


def diff_of_edit(path: str, parameters: Any) -> str:
    """The diff of an edit's arguments: one hunk for each replaced text, without line numbers."""
    if type(parameters) is not dict:
        return ""
    edits = parameters.get("edits")
    lines: list[str] = []
    for edit in edits if type(edits) is list else [parameters]:
        if type(edit) is not dict:
            continue
        old = edit.get("old_string")
        new = edit.get("new_string", edit.get("new_source"))
        if type(old) is not str and type(new) is not str:
            continue
        lines.append("@@ @@")
        lines += [f"-{line}" for line in (old.splitlines() if type(old) is str else ())]
        lines += [f"+{line}" for line in (new.splitlines() if type(new) is str else ())]
    return "\n".join([f"--- {path}", f"+++ {path}", *lines, ""]) if lines else ""
