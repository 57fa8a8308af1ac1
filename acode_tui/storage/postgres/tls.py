"""TLS of a connection: what the client presents, whom it trusts, and what is wrong with a certificate.

The driver takes ``require`` and stronger modes from here as a context. It would take files and modes from the variables
of libpq, and it knows no system roots. The files in ``~/.postgresql`` count as they do for libpq.
"""

import ssl
from collections.abc import Callable
from pathlib import Path

from acode_tui.config.postgres_address import SYSTEM_ROOTS, PostgresTarget

_PROTOCOL = "postgresql"
"""The name of PostgreSQL's protocol in ALPN."""

_UNKNOWN_AUTHORITY = (
    "comes from an authority that is not trusted here",
    "name the authority's certificate: sslrootcert=FILE in the address",
)
_OTHER_NAME = "address the server by a name that its certificate has"
_PROBLEMS: dict[int, tuple[str, str]] = {
    9: ("is not valid yet", "check the clock of this machine and the certificate's dates"),
    10: ("has expired", "have it renewed on the server"),
    18: ("is self-signed and not trusted here", "name it: sslrootcert=FILE in the address"),
    19: _UNKNOWN_AUTHORITY,
    20: _UNKNOWN_AUTHORITY,
    21: _UNKNOWN_AUTHORITY,
    23: ("was revoked", "have it replaced on the server"),
    26: ("is not one for a server", "have it replaced on the server"),
    62: ("is for another host", _OTHER_NAME),
    64: ("is for another address", _OTHER_NAME),
}
"""By OpenSSL's code of the verification: what the certificate is, and what to do."""


class TlsFileError(Exception):
    """A file of certificates or keys cannot be used. The text names the file and what it is for."""


def tls_argument(target: PostgresTarget) -> ssl.SSLContext | str:
    """What the driver takes as ``ssl``: a context, or a mode that verifies nobody. Raises TlsFileError; reads files."""
    if target.sslmode in ("disable", "allow", "prefer"):
        return target.sslmode
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([_PROTOCOL])
    roots = target.sslrootcert or _own_file("root.crt")
    context.check_hostname = target.sslmode == "verify-full"
    if target.sslmode == "require" and roots is None:
        context.verify_mode = ssl.CERT_NONE
        return _with_client_certificate(context, target)
    context.verify_mode = ssl.CERT_REQUIRED
    if roots is None or roots == SYSTEM_ROOTS:
        context.load_default_certs()
    else:
        _load(lambda: context.load_verify_locations(cafile=roots), "sslrootcert", roots)
    revoked = _own_file("root.crl")
    if revoked is not None:
        _load(lambda: context.load_verify_locations(cafile=revoked), "revoked certificates", revoked)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    return _with_client_certificate(context, target)


def certificate_problem(error: ssl.SSLCertVerificationError) -> tuple[str, str]:
    """What is wrong with the server's certificate, as the rest of a sentence, and a hint."""
    known = _PROBLEMS.get(error.verify_code)
    return known or (f"cannot be verified: {error.verify_message}", "check sslmode and the certificates")


def _with_client_certificate(context: ssl.SSLContext, target: PostgresTarget) -> ssl.SSLContext:
    certificate = target.sslcert or _own_file("postgresql.crt")
    if certificate is not None:
        key = target.sslkey or _own_file("postgresql.key")
        # Without a password the library would ask for one on the terminal.
        _load(lambda: context.load_cert_chain(certificate, key, password=lambda: ""), "sslcert", certificate)
    return context


def _own_file(name: str) -> str | None:
    """A file of this user's in libpq's folder; None if it does not exist."""
    try:
        path = Path.home() / ".postgresql" / name
        return str(path) if path.is_file() else None
    except (OSError, RuntimeError):
        return None


def _load(action: Callable[[], object], what: str, path: str) -> None:
    try:
        action()
    except (OSError, ValueError) as error:
        # ssl.SSLError is an OSError.
        reason = "does not exist" if isinstance(error, FileNotFoundError) else "cannot be used"
        raise TlsFileError(f"{path} ({what}) {reason}") from error
