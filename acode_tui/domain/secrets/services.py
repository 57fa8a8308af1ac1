"""Random values that are secret because of what stands before them: ``HEROKU_API_KEY: <uuid>``, ``Bearer``, a webhook.

A service's name alone is an ordinary word and a random value may be a digest; together, joined by ``=``, ``:`` or
``,``, they are a key.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from acode_tui.domain.secrets.rules import SearchedText, Span
from acode_tui.domain.secrets.values import is_hex, is_random, is_uuid, is_version

_SERVICES = [
    "adafruit",
    "adobe",
    "airtable",
    "algolia",
    "alibaba",
    "aliyun",
    "amplitude",
    "asana",
    "assemblyai",
    "atlassian",
    "confluence",
    "jira",
    "auth0",
    "azure",
    "beamer",
    "bitbucket",
    "bittrex",
    "binance",
    "buildkite",
    "bugsnag",
    "circleci",
    "meraki",
    "clearbit",
    "cloudflare",
    "cloudinary",
    "codacy",
    "codecov",
    "codeclimate",
    "cohere",
    "co_api",
    "coinbase",
    "coinmarketcap",
    "confluent",
    "contentful",
    "contribsys",
    "coveralls",
    "datadog",
    "dd_api",
    "dd_app",
    "databricks",
    "deepgram",
    "deepl",
    "deepseek",
    "discord",
    "doppler",
    "droneci",
    "dropbox",
    "dynatrace",
    "elevenlabs",
    "etsy",
    "facebook",
    "fastly",
    "figma",
    "finicity",
    "finnhub",
    "firebase",
    "flickr",
    "freshbooks",
    "freshdesk",
    "gemini",
    "gitter",
    "gocardless",
    "google_maps",
    "grafana",
    "harness_",
    "helpscout",
    "heroku",
    "honeycomb",
    "hubspot",
    "infura",
    "intercom",
    "ipinfo",
    "jfrog",
    "artifactory",
    "bintray",
    "xray",
    "kraken",
    "kucoin",
    "launchdarkly",
    "linear",
    "linkedin",
    "linked_in",
    "linked-in",
    "logdna",
    "loggly",
    "looker",
    "mailchimp",
    "mailgun",
    "mapbox",
    "mattermost",
    "messagebird",
    "message_bird",
    "message-bird",
    "mistral",
    "mixpanel",
    "netlify",
    "newrelic",
    "new_relic",
    "new-relic",
    "nytimes",
    "new-york-times",
    "newyorktimes",
    "okta",
    "openweather",
    "opsgenie",
    "pagerduty",
    "papertrail",
    "paypal",
    "pinata",
    "plaid",
    "postmark",
    "privateai",
    "private_ai",
    "private-ai",
    "pusher",
    "rapidapi",
    "reddit",
    "rollbar",
    "scaleway",
    "sendbird",
    "sendinblue",
    "sentry",
    "shodan",
    "snyk",
    "softlayer",
    "sonar",
    "sourcegraph",
    "spotify",
    "squarespace",
    "sumologic",
    "telegr",
    "tiktok",
    "travis",
    "trello",
    "twilio",
    "twitch",
    "twitter",
    "typeform",
    "lob_",
    "lob-",
    "sumo",
    "unsplash",
    "vercel",
    "virustotal",
    "vultr",
    "wakatime",
    "wandb",
    "yandex",
    "youtube",
    "zendesk",
    "zoho",
    "zoom",
]


KEYWORDS = (
    *(each.encode() for each in _SERVICES),
    *(b"phpsessid", b"jsessionid", b"asp.net_sessionid", b"connect.sid", b"csrftoken", b"xsrf-token"),
    *(b"signature", b"credential", b"q~"),
)
_NO_SERVICES = frozenset(KEYWORDS[len(_SERVICES) :])
_ALONE = re.compile(r"(?i)(?<![a-z])(?:sumo|zoom|okta|etsy)(?![a-z])|(?<![A-Za-z])[A-Za-z][a-z]+(?=[A-Z])")
_SHORT = {b"sumo", b"zoom", b"okta", b"etsy"}
_VALUE = re.compile(
    r"(?P<name>[\w \t.-]{2,40}?)\\?[\"'`]?[\])]?\s{0,3}(?:=>|:=|[=:>,](?!=)|\|\|)\s{0,3}\\?[\"'`(\s]{0,5}"
    r"(?P<value>[A-Za-z0-9_%.=/+-]{14,512}+)"
)
_NOT_SECRET = re.compile(
    r"(?i)(?:sha\d*|md5|hash|digest|checksum|integrity|etag|commit|rev|revision|uuid|guid|version|url|uri|image|file"
    r"|path|node|(?:request|trace|project|event|run|build|issue|message|channel)[_-]?id)\Z"
)
_AZURE = re.compile(r"(?P<value>[qQ]~[A-Za-z0-9_~.-]{31,34})(?![A-Za-z0-9])")


def names_a_service(name: str) -> bool:
    """Whether a name contains that of a service whose keys have no prefix."""
    lower = name.lower()
    return any(each in lower for each in _SERVICES)


def service_keys(source: SearchedText) -> Iterator[Span]:
    """Random values that are assigned to a name with that of a service in it."""
    text = source.text
    for keyword in [each for each in source.keywords if each in _KEYWORD_SET]:
        searched_to = 0
        for at in source.positions(keyword):
            if at < searched_to:
                continue
            if keyword == b"q~":
                found = _AZURE.match(text, at) if text[at - 1 : at].isdigit() else None
                if found:
                    yield found.span()
                continue
            if keyword in _SHORT and _ALONE.match(text, at) is None:
                continue
            found = _VALUE.match(text, at)
            if found is None or _NOT_SECRET.search(found["name"]):
                continue
            value = found["value"]
            service = keyword not in _NO_SERVICES
            if not service and is_hex(value) and ":" in text[found.end("name") : found.start("value")]:
                continue  # The signature of a file is a digest; that of a request stands after an equals sign.
            if (service and is_uuid(value)) or (is_random(value, 14, 6 if service else 4) and not is_version(value)):
                searched_to = found.end()
                yield found.span("value")


_KEYWORD_SET = frozenset(KEYWORDS)

_TURNS = 16
"""Fewest changes between upper case, lower case and digits in 40 random base64 characters. 25 are usual, 15 are very
rare; a path or joined words have far fewer."""
_SAYS_AWS = re.compile(
    r"(?i)(?<![A-Za-z0-9+/])(?<!redacted:)(?:aws|amazon|s3|A[KS]IA[0-9A-Z]{16})(?![A-Za-z0-9+/])|secret_?access_?key|aws_|:aws-key-id"
)
_BESIDE = 160


def is_aws_secret(source: SearchedText, run: Span) -> bool:
    """Whether a run looks like 40 random base64 characters beside a word that says AWS.

    The secret keys of AWS have no prefix, and many random identifiers are as long.
    """
    start, end = run
    value = source.text[start:end]
    if "-" in value or "_" in value or source.text.startswith("=", end):
        return False
    classes = ["a" if char.islower() else "A" if char.isupper() else "0" if char.isdigit() else "/" for char in value]
    if not {"a", "A"} <= set(classes) or {"0", "/"}.isdisjoint(classes):
        return False
    if sum(a != b for a, b in pairwise(classes)) < _TURNS:
        return False
    text = source.text
    return bool(
        _SAYS_AWS.search(text, max(0, start - _BESIDE), start) or _SAYS_AWS.search(text, end, end + _BESIDE // 2)
    )
