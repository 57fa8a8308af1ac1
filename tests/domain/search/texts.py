"""Texts as agents write them, in many scripts, and the parts of them that a person may search for."""

from hypothesis import strategies as st

from acode_tui.domain.search.tokens import words

PIECES = (
    *(
        "withCookie",
        "HTTPServerError",
        "v2Beta",
        "test_refresh_token",
        "src/auth/Login.tsx",
        "C:\\temp\\x",
        "std::move",
    ),
    *(
        "path.py:12",
        "12:30",
        "AND",
        "OR",
        "NOT",
        "( ) ^ * :",
        '"',
        "-",
        "_",
        "…",
        "—",
        "✓",
        "│",
        "\U0001f389",
        "❤️",
        "\ufe0e",
    ),
    *(
        "café",
        "cafe\u0301",
        "e\u0301\u0302",
        "ÄRGER",
        "straße",
        "größeÄndern",
        "naïveCase",
        "ﬁle",
        "İstanbul",
        "\u0130x",
    ),
    *("\u0130x", "ſoft", "\u212a", "½", "0¼", "x²", "ＡＢＣ", "σς", "\u0345a", "ŉ", "ǆ", "Ωmega", "℃", "™", "№", "㎏"),
    *(
        "ｶﾞｷ",
        "がく",
        "ガク",
        "か\u3099く",
        "認証トークン",
        "Python入門",
        "ภาษาไทยที่",
        "한국어",
        "\u1112\u1161\u11ab",
        "한글Word",
    ),
    *("\u1112\u1161\u11ab", "हिन्दी", "עִבְרִית", "\u0627\u064e\u0644", "\x1b[31merror\x1b[0m", "\ue0000000nul"),
)

texts = st.lists(
    st.one_of(
        st.sampled_from(PIECES),
        st.text(max_size=8),
        st.text(st.characters(codec="ascii"), max_size=12),
        st.from_regex(r"[a-z]{1,5}([A-Z][a-z]{0,4}){0,3}[0-9]{0,2}", fullmatch=True),
    ),
    max_size=12,
).flatmap(lambda parts: st.sampled_from([" ", "", "_", "-", "\n", "."]).map(lambda glue: glue.join(parts)))
"""Texts with tokens of every kind."""


@st.composite
def slices(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A text, and tokens that follow one another in it: each a whole or, of a word with parts, one of them."""
    text = draw(texts.filter(lambda text: next(words(text), None) is not None))
    every = list(words(text))
    place = draw(st.integers(0, len(every) - 1))
    length = draw(st.integers(1, 4))
    chosen: list[str] = []
    part = draw(st.integers(0, max(0, len(every[place].parts) - 1)))
    while place < len(every) and len(chosen) < length:
        word = every[place]
        if word.parts and (part or draw(st.booleans())):
            chosen.append(word.parts[part].token)
            part += 1
            if part == len(word.parts):
                place, part = place + 1, 0
        else:
            chosen.append(word.token)
            place += 1
    return text, chosen
