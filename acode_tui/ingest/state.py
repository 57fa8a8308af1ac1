"""What the importer keeps with a file's cursor, to read on as if it had never stopped."""

import msgspec

from acode_tui.ingest.timeline import Checkpoint

VERSION = 1
"""Raised when readers change what they make of a file: every file is then read once more."""


class FileState(msgspec.Struct, frozen=True, array_like=True):
    """``open``: the session is at work as long as the file is fresh. ``claimed``: model messages it counts."""

    version: int = VERSION
    open: bool = False
    session: str = ""
    claimed: bytes = b""
    checkpoints: tuple[Checkpoint, ...] = ()


_decoder = msgspec.msgpack.Decoder(FileState)
_encoder = msgspec.msgpack.Encoder()


def encode_state(state: FileState) -> bytes:
    return _encoder.encode(state)


def decode_state(data: bytes) -> FileState:
    """The state as it was kept, or an empty one where another version kept it."""
    try:
        state = _decoder.decode(data)
    except msgspec.DecodeError:
        return FileState(version=0)
    return state if state.version == VERSION else FileState(version=0)


# Asked of every unchanged file, so read from the bytes: the array's header, the version and the flag come first.


def is_current(data: bytes) -> bool:
    """Whether this version of the readers read the file last."""
    return len(data) >= 3 and data[1] == VERSION


def is_open(data: bytes) -> bool:
    """Whether the file must be read again once it is no longer fresh."""
    return len(data) >= 3 and data[2] == 0xC3
