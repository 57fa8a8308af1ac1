"""Encodings in which a secret may be hidden: base64, UTF-16 and UTF-32."""

import binascii
import re
from base64 import b64encode, urlsafe_b64encode

ASCII_GROUP = "[A-Za-f][A-HQ-Xg-nw-z0-3][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9+/_-]"
READABLE = re.compile(rf"(?:[A-Za-z0-9+/_-]{{4}})*?(?:{ASCII_GROUP}){{3}}")
"""Base64 that may decode to text: it contains nine bytes of ASCII. Ordinary words almost never match."""
PADDING = re.compile("={1,2}")
FOLDED = re.compile(r"(?:[A-Za-z0-9+/]{60,120}\r?\n){1,100000}[A-Za-z0-9+/]{0,120}={0,2}")
_SPACE = re.compile(r"\s+")
WIDE = (
    ("utf-16-le", re.compile(rb"(?:[\t\n\r\x20-\x7e]\x00){6,}")),
    ("utf-16-be", re.compile(rb"(?:\x00[\t\n\r\x20-\x7e]){6,}")),
    ("utf-32-le", re.compile(rb"(?:[\t\n\r\x20-\x7e]\x00\x00\x00){6,}")),
    ("utf-32-be", re.compile(rb"(?:\x00\x00\x00[\t\n\r\x20-\x7e]){6,}")),
)
BOMS = (
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)


def decode_base64(run: str) -> bytes | None:
    """The bytes of a run of base64; None if it is not base64 or its bytes are not text."""
    if "\n" in run:
        run = _SPACE.sub("", run)
    body = run.rstrip("=")
    if len(body) < 8 or len(body) % 4 == 1:
        return None
    if "-" in body or "_" in body:
        if "+" in body or "/" in body:
            return None
        body = body.replace("-", "+").replace("_", "/")
    try:
        data = binascii.a2b_base64(body + "=" * (-len(body) % 4), strict_mode=True)
    except binascii.Error:
        return None
    if any(data.startswith(mark) for mark, _ in BOMS) or (
        b"\x00" in data and any(pattern.search(data) for _, pattern in WIDE)
    ):
        return data
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return data if text.replace("\n", "").replace("\r", "").replace("\t", "").isprintable() else None


def encode_like(run: str, data: bytes) -> str:
    """Base64 in the alphabet of the run that it replaces, padded if the run was."""
    encoded = (urlsafe_b64encode if "-" in run or "_" in run else b64encode)(data).decode()
    return encoded if run.endswith("=") or len(run) % 4 == 0 else encoded.rstrip("=")
