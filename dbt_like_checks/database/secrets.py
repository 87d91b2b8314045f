"""What is secret in a database's address, and text without it.

libpq takes a password in a URL's user part, as options of its query (``password``, ``sslpassword``,
``passfile``, …), percent-encoded or not, and in keyword=value strings, quoted or not. Any of these may
come back in an error's text. `secrets_of` reads them all, also out of an address that is malformed;
`masked` takes them out of a text, with everything else that is spelled like a password.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import parse_qsl, quote, unquote, unquote_plus

import sqlalchemy as sa

MASK = "***"
# Of an address's options only these are no secret: the value of any other is never shown.
SHOWN_OPTIONS = frozenset(
    ("access_mode", "application_name", "connect_timeout", "dbname", "host", "hostaddr", "mode", "options")
).union(("port", "sslmode", "target_session_attrs", "timeout", "uri", "user"))
WHOLE_WORD_BELOW = 4  # characters; a shorter secret is masked where it stands alone, or no text were left

# PostgreSQL's manual, section "Connection Strings": spaces around "=" are optional, a value with spaces is
# in single quotes, and a backslash escapes.
_VALUE = r"'(?:[^'\\]|\\.)*'?|(?:[^\s'\\]|\\.)+"
_PAIR = re.compile(rf"(\w+)\s*=\s*({_VALUE})", re.DOTALL)
_USER_PART = re.compile(r"(:/{1,2}[^\s:/?#@]*:)\S+@")  # one slash: an address taken for a path
_NAME_OF_A_SECRET = re.compile("pass|pwd|secret|token|key", re.IGNORECASE)
_QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s'\"&,;)}\]]+"
# `password=x` of libpq, and `password: x` of YAML and JSON; in prose a token may well precede a colon.
_SPELLED_OUT = re.compile(
    r"(?<!\w)(\w*(?:password|passwd|passfile|passphrase|pwd)['\"]?\s*[=:]\s*"
    rf"|\w*(?:secret|token|api_?key)(?:\s*=|['\"]\s*:)\s*)({_QUOTED})",
    re.IGNORECASE | re.DOTALL,
)


def secrets_of(address: str) -> frozenset[str]:
    """Every value in a database's address that must not be shown."""
    found = {*_of_url(address), *_of_text(address)}
    return frozenset(secret for secret in found if secret and secret != MASK)


def shown_address(url: sa.URL) -> str:
    """The address as people may see it: no password, and of its query only options that hold none.

    Of a host that holds an ``@`` only the end is shown: a password that was not percent-encoded may
    have ended before its own ``@``.
    """
    options = {name: value for name, value in url.query.items() if name in SHOWN_OPTIONS}
    host = url.host
    if host and "@" in host:
        host = f"{MASK}@{host.rpartition('@')[2]}"
    return url.set(query=options, host=host).render_as_string(hide_password=True)


def masked(text: str, secrets: Iterable[str] = ()) -> str:
    """``text`` without these secrets in any spelling, and without what is written as a password."""
    text = _USER_PART.sub(rf"\1{MASK}@", text)
    text = _SPELLED_OUT.sub(_without_value, text)
    for secret in sorted(set(filter(None, secrets)), key=len, reverse=True):
        text = re.sub(_spellings(secret), MASK, text)
    return text


def reason_of(error: BaseException, secrets: Iterable[str] = ()) -> str:
    """What an error of a database says, on one line, masked: the driver's own text where there is one."""
    original = getattr(error, "orig", None) or error
    text = str(original).strip() or type(original).__name__
    return masked(text.splitlines()[0].strip(), secrets)


def _without_value(spelled_out: re.Match[str]) -> str:
    name, value = spelled_out.groups()
    # A way out may show where a secret goes: `HF_TOKEN=hf_...` holds none.
    return spelled_out[0] if value.rstrip("`").endswith("...") else f"{name}{MASK}"


def _of_url(address: str) -> Iterator[str]:
    try:
        url = sa.make_url(address)
    except (sa.exc.ArgumentError, ValueError):  # the latter of a port that is no number
        return
    yield url.password or ""
    yield (url.host or "").rpartition("@")[0]  # the end of a password with an "@"
    for name, values in url.normalized_query.items():
        yield from (value for value in values if _is_secret(name, value))


def _of_text(address: str) -> Iterator[str]:
    scheme, separator, rest = address.partition("://")
    if not separator:
        for name, value in _PAIR.findall(scheme):
            if _is_secret(name, value):
                yield value
                yield re.sub(r"\\(.)", r"\1", value.strip("'"), flags=re.DOTALL)
        return
    # A password with an "@", a "/" or a "?" that is not percent-encoded ends at the last "@".
    user_part, at, _ = rest.rpartition("@")
    if at:
        secret = user_part.partition(":")[2]
        yield secret
        yield unquote(secret)
    query = rest.partition("?")[2]
    for name, value in [*parse_qsl(query), *_PAIR.findall(query.replace("&", " "))]:
        if _is_secret(name, value):
            yield from (value, unquote_plus(value))


def _is_secret(option: str, value: str) -> bool:
    if _NAME_OF_A_SECRET.search(option):
        return True
    # Of an option that no one knows a short value is a switch or a number.
    return option not in SHOWN_OPTIONS and len(value) >= WHOLE_WORD_BELOW


def _spellings(secret: str) -> str:
    """A pattern of a secret with each character as it is, percent-encoded, or after a backslash."""
    pattern = "".join(_character(each) for each in secret)
    return rf"(?<!\w){pattern}(?!\w)" if len(secret) < WHOLE_WORD_BELOW else pattern


def _character(character: str) -> str:
    try:
        encoded = "".join(f"%{byte:02x}" for byte in character.encode())
    except UnicodeEncodeError:  # half of a surrogate pair
        encoded = quote(character, errors="replace")
    # Encoded first: of "%25" the "%" alone would leave the rest.
    forms = [rf"(?i:{re.escape(encoded)})", rf"\\?{re.escape(character)}"]
    if character == " ":
        forms.append(r"\+")
    return f"(?:{'|'.join(forms)})"
