"""Glyphs and roles of what is shown."""

from rich.cells import cell_len

from acode_tui.domain.states import ArtifactType
from acode_tui.tui.style.palette import ARTIFACT, CONTENT_STYLE, HEALTH, ROW_SYNC, SESSION, SYNC, TOOL_CALL, WORK


def test_every_type_of_artifact_has_a_mark_and_what_was_said_is_told_apart_by_it() -> None:
    assert ARTIFACT.keys() == set(ArtifactType)
    said = (ArtifactType.USER_PROMPT, ArtifactType.REASONING, ArtifactType.MODEL_RESPONSE, ArtifactType.IMAGE)
    others = {ARTIFACT[each].glyph for each in ArtifactType if each not in said}
    glyphs = [ARTIFACT[each].glyph for each in said]
    assert len(set(glyphs)) == len(said)
    assert not others & set(glyphs)


def test_every_glyph_is_one_column_wide_and_every_role_has_a_style() -> None:
    for marks in (ARTIFACT, HEALTH, ROW_SYNC, SESSION, SYNC, TOOL_CALL, WORK):
        for mark in marks.values():
            assert cell_len(mark.glyph) == 1
            assert mark.role in CONTENT_STYLE
