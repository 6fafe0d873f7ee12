"""Digest authentication (RFC 2617, MD5, with and without `qop=auth`), with no I/O."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from secrets import token_hex

_PAIR = re.compile(r'([A-Za-z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


class DigestError(ValueError):
    """The challenge cannot be answered."""


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Who calls, and the secret that shows it; the secret is never printed."""

    user: str
    password: str = field(repr=False)


def fields_of(value: str) -> dict[str, str]:
    """The fields of a `Digest …` header, names in lower case.

    Raises:
        DigestError: It is not a digest header.
    """
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() != "digest":
        raise DigestError("only digest authentication is understood")
    return {m[1].lower(): m[2] if m[2] is not None else m[3] for m in _PAIR.finditer(rest)}


def challenge(realm: str) -> str:
    """A new challenge, as the value of `Proxy-Authenticate` or `WWW-Authenticate`."""
    return f'Digest realm="{realm}", nonce="{token_hex(16)}", algorithm=MD5, qop="auth"'


def answer(value: str, credentials: Credentials, *, method: str, uri: str) -> str:
    """The `Authorization` that answers a challenge.

    Raises:
        DigestError: It asks for something else than MD5 with `qop=auth` or none.
    """
    asked = fields_of(value)
    if asked.get("algorithm", "MD5").upper() != "MD5" or "nonce" not in asked:
        raise DigestError("only MD5 digests are understood")
    offered = [part.strip() for part in asked.get("qop", "").split(",") if part.strip()]
    if offered and "auth" not in offered:
        raise DigestError("only qop=auth is understood")
    given = {
        "username": credentials.user,
        "realm": asked.get("realm", ""),
        "nonce": asked["nonce"],
        "uri": uri,
    }
    if offered:
        given |= {"qop": "auth", "nc": "00000001", "cnonce": token_hex(8)}
    given["response"] = _response(given, credentials.password, method)
    bare = ("qop", "nc")
    parts = [f"{k}={v}" if k in bare else f'{k}="{v}"' for k, v in given.items()]
    if opaque := asked.get("opaque"):
        parts.append(f'opaque="{opaque}"')
    return "Digest " + ", ".join([*parts, "algorithm=MD5"])


def accepts(challenged: str, value: str, credentials: Credentials, *, method: str) -> bool:
    """Whether an `Authorization` answers our own challenge with the right secret."""
    try:
        asked, given = fields_of(challenged), fields_of(value)
    except DigestError:
        return False
    if given.get("nonce") != asked["nonce"] or given.get("username") != credentials.user:
        return False
    expected = _response(given, credentials.password, method)
    return hmac.compare_digest(expected, given.get("response", ""))


def _response(given: dict[str, str], password: str, method: str) -> str:
    get = given.get
    first = _md5(f"{get('username', '')}:{get('realm', '')}:{password}")
    second = _md5(f"{method}:{get('uri', '')}")
    if get("qop"):
        middle = f"{get('nonce', '')}:{get('nc', '')}:{get('cnonce', '')}:{get('qop', '')}"
    else:
        middle = get("nonce", "")
    return _md5(f"{first}:{middle}:{second}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
