"""What the dashboard shows of following: whether it imports transcripts by itself, and how that goes."""

from typing import Literal

import msgspec

FollowPhase = Literal["off", "asking", "waiting", "importing", "on"]


class FollowState(msgspec.Struct):
    """``phase`` is ``waiting`` while the process ``holder`` follows the workspace.

    While the user is asked, ``found`` is the number of transcripts and ``places`` the folders that they are in. Of
    ``total`` files ``done`` are imported. ``problem`` is why nothing can be imported at present.
    """

    phase: FollowPhase = "off"
    found: int = 0
    places: tuple[str, ...] = ()
    holder: int | None = None
    done: int = 0
    total: int = 0
    problem: str = ""
