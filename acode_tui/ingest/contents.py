"""Content of messages and results: their text, their images, and the diffs of edits."""

import base64
import binascii
import re
from typing import Any, NamedTuple

from acode_tui.ingest.records import number

_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9.+-]{1,60}")


class Image(NamedTuple):
    content: bytes
    content_type: str


def text_of(content: Any) -> str:
    """The text of a content field: a string, or the text blocks of a list, joined by newlines."""
    if type(content) is str:
        return content
    if type(content) is list:
        parts = []
        for block in content:
            if type(block) is dict:
                found = block.get("text")
                if type(found) is str:
                    parts.append(found)
            elif type(block) is str:
                parts.append(block)
        return "\n".join(parts)
    return ""


def images_of(content: Any) -> list[Image]:
    """Images in a content list as base64; what is not base64 is left out."""
    if type(content) is not list:
        return []
    found = []
    for block in content:
        source = block.get("source") if type(block) is dict and block.get("type") == "image" else None
        image = decoded(source.get("data"), source.get("media_type")) if type(source) is dict else None
        if image is not None:
            found.append(image)
    return found


def decoded(data: Any, media: Any) -> Image | None:
    """An image given as base64 text and its media type; None where that is not base64."""
    if type(data) is not str:
        return None
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return None
    kind = media if type(media) is str and _MEDIA_TYPE.fullmatch(media) else "application/octet-stream"
    return Image(content, kind)


def image_of(data: Any, media: Any) -> Image:
    """An image given as base64 text. Where that is cut or missing, an image without content still says that it was."""
    found = decoded(data, media)
    if found is not None:
        return found
    kind = media if type(media) is str and _MEDIA_TYPE.fullmatch(media) else "application/octet-stream"
    return Image(b"", kind)


def has_image(content: Any) -> bool:
    return type(content) is list and any(type(block) is dict and block.get("type") == "image" for block in content)


def diff_of_patch(path: str, patch: Any) -> str:
    """The unified diff of a list of hunks (``structuredPatch``); empty for any other value."""
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
    """The diff of an edit's arguments: one hunk per replaced text, without line numbers."""
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
