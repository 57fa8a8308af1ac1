"""Words of scripts that are written without spaces: an index takes a whole run of them for one word.

What somebody looks for mostly stands within such a run, so it is found anywhere in a text and not by prefix alone.
"""

# Ranges, and no pattern: compiling one of so many characters takes longer than opening the workspace file.
_UNSPACED = (
    *(("\u0e00", "\u0eff"), ("\u1000", "\u109f"), ("\u1780", "\u17ff")),  # Thai, Lao, Burmese, Khmer
    *(("\u3040", "\u30ff"), ("\u31f0", "\u31ff"), ("\uff66", "\uff9f")),  # Japanese syllables
    *(("\u3400", "\u4dbf"), ("\u4e00", "\u9fff"), ("\uf900", "\ufaff"), ("\U00020000", "\U0003ffff")),  # Chinese
)


def is_unspaced(word: str) -> bool:
    """Whether a word has letters of such a script."""
    return not word.isascii() and any(first <= char <= last for char in word for first, last in _UNSPACED)
