"""Tokens that are recognized by their prefix alone.

Every one of these contains a run of at least twenty of the characters of base64. Such runs are rare in text, so
prefixes are looked for only in them and in the few characters before.
"""

import re
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence

from acode_tui.domain.secrets.rules import Span
from acode_tui.domain.secrets.values import is_random

LEAD = 24
"""Characters before a run in which a token may begin, as in ``dp.st.production.``"""

_EDGE = r"(?<![A-Za-z0-9])"
_AFTER_ESCAPE = re.compile(r"\\(?:[nrtbf]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4})|%[0-9A-Fa-f]{2}|[\[;]\d{0,3}m")
"""A token may follow an escape that ends in a letter or digit: of a string, of a URL, the colour of a terminal."""

_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_NO_MORE = r"(?![A-Za-z0-9])"

_PATTERNS: dict[str, tuple[str, ...]] = {
    # Each begins with a literal and ends after the fewest characters that make it a token; the rest of the run follows.
    "api-key": (
        # Models: OpenAI, Anthropic, OpenRouter, Groq, xAI, Hugging Face, Replicate, Perplexity, NVIDIA, Pinecone, ...
        r"sk-(?:proj|svcacct|service|admin|ant|or|lf|None)-[A-Za-z0-9_-]{8}",
        r"sk-[A-Za-z0-9]{20}",
        r"sk_[a-f0-9]{48}",
        r"gsk_[A-Za-z0-9]{20}",
        r"xai-[A-Za-z0-9]{20}",
        r"hf_[A-Za-z0-9]{20}",
        r"api_org_[A-Za-z0-9]{20}",
        r"r8_[A-Za-z0-9]{20}",
        r"pplx-[A-Za-z0-9]{32}",
        r"nvapi-[A-Za-z0-9_-]{32}",
        r"pcsk_[A-Za-z0-9]{4,8}_[A-Za-z0-9]{32}",
        r"csk-[a-z0-9]{32}",
        r"tvly-[A-Za-z0-9-]{24}",
        r"lsv2_[a-z]{2}_[a-f0-9]{32}",
        r"ABSK[A-Za-z0-9+/]{80,}+",
        r"bedrock-api-key-[A-Za-z0-9+/]{16,}+",
        # Payments and shops: Stripe, Shopify, Square, Flutterwave, EasyPost, Shippo, Duffel, Plaid, Razorpay.
        *(each + r"k_(?:live|test|prod)_[A-Za-z0-9]{10}" for each in "spr"),
        r"whsec_[A-Za-z0-9+/]{16,}+",
        r"shp[a-z]{2}_[a-fA-F0-9]{32}",
        r"sq0[a-z]{3}-[A-Za-z0-9_-]{22}",
        r"EAA[A-Z](?=[A-Za-z_-]{0,40}\d)[A-Za-z0-9_-]{22}",
        r"FLW(?:SEC|PUB)K(?:_TEST)?-[A-Za-z0-9]{12}",
        r"EZ[AT]K[A-Za-z0-9]{54}",
        r"shippo_(?:live|test)_[A-Fa-f0-9]{32}",
        r"duffel_(?:live|test)_[A-Za-z0-9_=-]{32}",
        rf"access-(?:sandbox|development|production)-{_UUID}",
        r"rzp_(?:live|test)_[A-Za-z0-9]{14}",
        # Registries and builds: npm, PyPI, RubyGems, Clojars, Docker, Artifactory, Postman, Pulumi, CircleCI, ...
        r"npm_[A-Za-z0-9]{20}",
        r"pypi-[A-Za-z0-9_-]{20}",
        r"rubygems_[a-f0-9]{32}",
        r"CLOJARS_[A-Za-z0-9]{32}",
        r"dckr_[a-z]{3}_[A-Za-z0-9_-]{20}",
        r"AKCp[A-Za-z0-9]{50}",
        r"cmVmd[A-Za-z0-9]{50}",
        r"PMAK-[A-Fa-f0-9]{24}",
        r"pul-[a-f0-9]{40}",
        r"pnu_[A-Za-z0-9]{32}",
        r"CCIPAT_[A-Za-z0-9]{20}",
        r"bkua_[a-f0-9]{40}",
        r"sgp_(?:(?:[A-Fa-f0-9]{16}|local)_)?[A-Fa-f0-9]{40}",
        r"sq[apu]_[a-f0-9]{40}",
        r"oy2[a-z0-9]{43}",
        r"API-[A-Z0-9]{26}" + _NO_MORE,
        r"ico-[A-Za-z0-9]{32}",
        r"CFPAT-[A-Za-z0-9_-]{40}",
        # Clouds: DigitalOcean, Databricks, Heroku, Fly, Alibaba, Yandex, PlanetScale, Cloudflare, Tailscale, ...
        r"do[opr]_v1_[a-f0-9]{32}",
        r"dapi[a-f0-9]{32}",
        r"HRKU-AA[A-Za-z0-9_-]{50}",
        r"fo1_[A-Za-z0-9_-]{43}",
        r"vercel_blob_rw_[A-Za-z0-9]{16}_[A-Za-z0-9]{24}",
        r"fm[12][ar]?_[A-Za-z0-9+/]{60,}+",
        r"LTAI[A-Za-z0-9]{17}",
        r"AQVN[A-Za-z0-9_-]{35}",
        r"t1\.[A-Za-z0-9_-]{20,300}={0,2}\.[A-Za-z0-9_-]{80}",
        r"pscale_[a-z]{2,5}_[A-Za-z0-9_=.-]{32}",
        r"v1\.0-[a-f0-9]{24}-[a-f0-9]{100}",
        r"cf(?:k|ut|at)_[A-Za-z0-9]{40}",
        r"tskey-[a-z]{2,12}-[A-Za-z0-9]{8}",
        r"tk-us-[A-Za-z0-9_-]{48}",
        r"sbp_[a-f0-9]{40}",
        r"nfp_[A-Za-z0-9]{30}",
        r"rnd_[A-Za-z0-9]{26}",
        r"dnkey-[A-Za-z0-9_=-]{26}-[A-Za-z0-9_=-]{52}",
        r"4b1d[A-Za-z0-9]{38}" + _NO_MORE,
        r"sha256~[A-Za-z0-9_-]{43}",
        # Secrets and monitoring: Vault, Terraform, Doppler, 1Password, Grafana, Sentry, New Relic, Dynatrace, Rootly.
        r"hv[brs]\.[A-Za-z0-9_-]{24}",
        r"s\.(?=[A-Za-z]{0,23}\d)(?=[a-z0-9]{0,23}[A-Z])[A-Za-z0-9]{24}" + _NO_MORE,
        r"dp\.(?:ct|pt|st|sa|scim|audit)\.(?:[a-z0-9_-]{2,35}\.)?[A-Za-z0-9]{40}",
        r"ops_eyJ[A-Za-z0-9+/_-]{40,}+",
        r"A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})-[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{5}",
        r"glsa_[A-Za-z0-9]{32}",
        r"glc_[A-Za-z0-9+/]{32,}+",
        r"eyJrIjoi[A-Za-z0-9+/]{40,}+",
        r"sntr(?:ys|yu)_[A-Za-z0-9+/=]{32,}+(?:_[A-Za-z0-9+/]{20,}+)?",
        r"NR(?:AK|II|IQ|JS|BR|RA)-[A-Za-z0-9_-]{16}",
        r"dt0[a-z]\d\d\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{40}",
        r"rootly_[a-f0-9]{64}",
        r"lin_(?:api|oauth)_[A-Za-z0-9]{20}",
        r"phx_[A-Za-z0-9_]{40}",
        # Messages and documents: SendGrid, Mailgun, Brevo, Twilio, Telegram, Notion, Airtable, Atlassian, Figma, ...
        r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16}",
        r"key-[a-f0-9]{32}",
        r"pubkey-[a-f0-9]{32}",
        r"x(?:keysib|smtpsib)-[a-f0-9]{32}",
        r"AC[0-9a-fA-F]{32}" + _NO_MORE,
        r"SK[0-9a-fA-F]{32}" + _NO_MORE,
        r"ntn_[A-Za-z0-9]{32}",
        r"secret_[A-Za-z0-9]{43}" + _NO_MORE,
        r"pat[A-Za-z0-9]{14}\.[a-f0-9]{64}",
        r"AT(?:ATT|CTT|BB)[A-Za-z0-9_=-]{20}",
        r"fig[a-z]_[A-Za-z0-9_=-]{32}",
        r"fio-u-[A-Za-z0-9_=-]{32}",
        r"tfp_[A-Za-z0-9_.=-]{40}",
        r"rdme_[a-z0-9]{60}",
        r"re_[A-Za-z0-9]{8}_[A-Za-z0-9]{20}",
        *(each + r"at\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{20}" for each in "ps"),
        r"pat-[a-z]{2}\d-" + _UUID,
        *(each + r"k\.[A-Za-z0-9]{60}\.[A-Za-z0-9_-]{22}" for each in "ps"),
        r"sl\.[A-Za-z0-9_=-]{100}",
        r"sm_[aps]at_[A-Za-z0-9]{16}",
        r"s-s4t2(?:ud|af)-[a-f0-9]{64}",
        r"p8e-[A-Za-z0-9]{32}",
        r"salad_cloud_[A-Za-z0-9]{1,7}_[A-Za-z0-9]{7}",
        # Known by what stands before the run or at its end: Azure, Terraform, Authress, MaxMind, Mailchimp, New Relic.
        r"(?<=[A-Za-z0-9_~.]{3}\dQ~)[A-Za-z0-9_~.-]{31}",
        r"(?<=\.atlasv1\.)[A-Za-z0-9_=-]{60}",
        r"(?<=[0-9]{5}:)A[A-Za-z0-9_-]{34}" + _NO_MORE,
        r"(?<=[a-z0-9]\.)acc[_-][a-z0-9-]{10,32}\.[A-Za-z0-9_+/=-]{30}",
        r"[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk",
        r"[a-h0-9]{32}-(?:us\d\d?|[a-h0-9]{8}-[a-h0-9]{8})" + _NO_MORE,
        r"[0-9a-f]{32,36}(?:FFFF)?NRAL",
    ),
    "github-token": (r"gh[a-z]_[A-Za-z0-9]{16}", r"github_pat_[A-Za-z0-9_]{16}"),
    "gitlab-token": (
        r"gl(?:pat|dt|rt|ft|ptt|imt|soat|oas|ffct|agent|wt|cbt|rtr|frt)-[A-Za-z0-9_-]{16}",
        r"GR1348941[A-Za-z0-9_-]{16}",
    ),
    "discord-token": tuple(each + r"[A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27}" for each in "MNO"),
    "google-key": (r"AIza[0-9A-Za-z_-]{30}", r"ya29\.[0-9A-Za-z_-]{20}", r"GOCSPX-[0-9A-Za-z_-]{20}"),
    "aws-key-id": (r"A(?:KIA|SIA|BIA|CCA|ROA|IDA|3T[A-Z0-9])[0-9A-Z]{16}" + _NO_MORE,),
}

_JWT_BEGIN = re.compile(r"e(?:yJ|wo)")
_JWT_AT_EDGE = re.compile(_EDGE + _JWT_BEGIN.pattern)
_JWT = re.compile(r"[A-Za-z0-9_-]{8,}+={0,2}\.[A-Za-z0-9_-]{5,}+(?:={0,2}\.[A-Za-z0-9_-]*+){1,4}")
_REST = re.compile(r"[A-Za-z0-9_-]*+={0,2}")
WITHOUT_DIGITS = (b"hf_", b"api_org_")
"""Prefixes of the only tokens that may consist of letters alone."""


def _compile() -> dict[str, re.Pattern[str]]:
    """The patterns by the character that they begin with; under "" those that have no such character."""
    by_first: dict[str, list[str]] = defaultdict(list)
    for kind, patterns in _PATTERNS.items():
        for number, pattern in enumerate(patterns):
            first = pattern[0] if pattern[0].isalnum() else ""
            by_first[first].append(f"(?P<{kind.replace('-', '_')}_{number}>{pattern})")
    return {first: re.compile("|".join(group)) for first, group in by_first.items()}


_BY_FIRST = _compile()
_OTHER = _BY_FIRST.pop("")
_SHORTEST_OTHER = 29


def _token(text: str, at: int, end: int) -> re.Match[str] | None:
    """The token that begins here, in a run that ends there."""
    pattern = _BY_FIRST.get(text[at])
    found = pattern.match(text, at, end + _LONGEST) if pattern else None
    if found is None and end - at >= _SHORTEST_OTHER:
        return _OTHER.match(text, at, end + _LONGEST)
    return found


_BEGIN = re.compile(_EDGE + "[A-Za-z0-9]")
_LONGEST = 512
"""More than the longest pattern reads."""


def tokens(text: str, run: Span, searched_to: int) -> Iterator[tuple[str, Span]]:
    """The kinds and spans of the tokens that begin in this run of the text, or shortly before it."""
    begin, end = run
    before = text[begin - 1 : begin]
    led = bool(before) and before in ".~:"
    escaped = _after_escapes(text, run, led) if led or (before and before in "\\%[;") else ()
    if text.startswith((".", "="), end) and (found := _jwt(text, run, escaped)):
        yield "jwt", found
        searched_to = found[1]
    for at in escaped:
        token = _token(text, at, end) if at >= searched_to else None
        if token is not None:
            searched_to = yield from _whole(text, token)
    for edge in _BEGIN.finditer(text, max(0, begin - LEAD) if led else begin, end):
        at = edge.start()
        token = _token(text, at, end) if at >= searched_to else None
        if token is not None:
            searched_to = yield from _whole(text, token)


def _after_escapes(text: str, run: Span, led: bool) -> list[int]:
    """The positions after an escape at the beginning of a run, or shortly before it."""
    if not led:
        found = _AFTER_ESCAPE.match(text, run[0] - 1)
        return [found.end()] if found else []
    return [found.end() for found in _AFTER_ESCAPE.finditer(text, max(0, run[0] - LEAD), run[0])]


def _whole(text: str, token: re.Match[str]) -> Generator[tuple[str, Span], None, int]:
    """Yield a token with the rest of its run, and return its end."""
    rest = _REST.match(text, token.end())
    end = rest.end() if rest else token.end()
    kind = str(token.lastgroup).rpartition("_")[0].replace("_", "-")
    if not (text.startswith("s.", token.start()) and not is_random(token.group()[2:])):
        yield kind, (token.start(), end)
    return end


def _jwt(text: str, run: Span, escaped: Sequence[int]) -> Span | None:
    """A JSON web token whose header is the end of this run."""
    begins = [*escaped, found.start()] if (found := _JWT_AT_EDGE.search(text, *run)) else escaped
    for begin in begins:
        token = _JWT.match(text, begin) if _JWT_BEGIN.match(text, begin) else None
        if token is not None:
            return token.span()
    return None
