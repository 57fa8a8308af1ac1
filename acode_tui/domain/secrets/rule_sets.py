"""The rules by what they protect. Tokens with a known prefix are in ``tokens``."""

from acode_tui.domain.secrets import access, assigned, commands, personal, services
from acode_tui.domain.secrets.rules import Rule

ACCESS_RULES: tuple[Rule, ...] = (
    Rule("private-key", access.KEY_KEYWORDS, access.private_keys),
    Rule("bearer-token", (b"bearer",), access.bearer_tokens),
    Rule("authorization", (b"authorization",), access.authorization_headers),
    Rule("slack-token", (b"xox", b"xapp-"), access.slack_tokens),
    Rule("webhook", access.HOOK_KEYWORDS, access.webhooks),
    Rule("service-key", services.KEYWORDS, services.service_keys),
)
"""Access credentials that are recognized by their context."""

ASSIGNED_RULES: tuple[Rule, ...] = (
    Rule("url-password", (b"://",), access.address_passwords),
    Rule("url-password", access.QUERY_KEYWORDS, access.query_secrets),
    Rule("cookie", access.COOKIE_KEYWORDS, access.cookies),
    Rule("cookie", access.COOKIE_FILE_KEYWORDS, access.cookie_files),
    Rule("credential", assigned.KEYWORDS, assigned.credentials),
    Rule("credential", commands.COMMAND_KEYWORDS, commands.command_passwords),
    Rule("credential", (b"sudo", b"chpasswd"), commands.piped_passwords),
    Rule("credential", (b"password",), commands.netrc_passwords),
    Rule("credential", (b":543", b":*:"), commands.pgpass_lines),
    Rule("credential", commands.SQL_KEYWORDS, commands.sql_passwords),
    Rule("credential", commands.SAID_KEYWORDS, commands.said_passwords),
    Rule("credential", (b"secret",), commands.kubernetes_secrets),
    Rule("password-hash", commands.HASH_KEYWORDS, commands.password_hashes),
)
"""Values that are secret because of the name or the command that they are given to."""

PERSONAL_RULES: tuple[Rule, ...] = (
    Rule("email", (b"@", b"%40"), personal.emails),
    Rule("home-path", (b"home", b"users", b"/root"), personal.homes),
)
"""Personal data."""


def is_chance_match(rule: Rule, length: int) -> bool:
    """Whether random binary data contains such a match every few megabytes."""
    return rule.kind == "email" and length < 12
