"""What must not reach a prompt: files that hold keys, and what looks like a key in the text of other files.

Pure functions of paths and text. Masking keeps every offset and every line end, takes time linear in the text, and
looks at no more than one line at a time, private keys apart: so a text may be masked whole or in parts.

It knows no languages: a name that says secret and a literal after it look much alike in all of them.
"""

import re
from collections.abc import Generator, Iterator
from fnmatch import translate
from itertools import groupby

Span = tuple[int, int]
"""Start and end, in code points."""

_SECRET_FILES = """
.env .env.* .envrc *.env *.pem *.key *.p8 *.p12 *.pfx *.ppk *.jks *.keystore *.kdb *.kdbx *.ovpn *.gpg *.agekey
id_rsa* id_dsa* id_ecdsa* id_ed25519* .netrc _netrc .npmrc .pypirc .pgpass .my.cnf .htpasswd .git-credentials .dockercfg
.s3cfg .boto .vault_pass* .vault-token .terraformrc credentials credentials.json
credentials.y*ml credentials.toml credentials.ini credentials.csv credentials.xml *[-_.]credentials.json
client_secret*.json service[-_]account*.json secrets.y*ml secrets.json secrets.toml *.tfstate *.tfstate.backup *.tfvars
*.tfvars.json kubeconfig .kube/config .docker/config.json .ssh/* .gnupg/* .azure/*.json .config/gh/hosts.yml
"""
"""Names of secret files in lower case, some with the folder they are in."""
_HARMLESS_FILES = ".env.example .env.sample .env.template .env.dist .env.schema *.env.example *.pub"


def _any_of(globs: str) -> re.Pattern[str]:
    names = "|".join(translate(glob).replace(".*", "[^/]*") for glob in globs.split())
    return re.compile(f"(?:[^/]*/)?(?:{names})")


_SECRET_FILE = _any_of(_SECRET_FILES)
_HARMLESS_FILE = _any_of(_HARMLESS_FILES)

_KNOWN_KEYS = r"""
AKIA [A-Z0-9]{16,}+
ASIA [A-Z0-9]{16,}+
ghp_ [A-Za-z0-9]{30,}+
gho_ [A-Za-z0-9]{30,}+
ghu_ [A-Za-z0-9]{30,}+
ghs_ [A-Za-z0-9]{30,}+
ghr_ [A-Za-z0-9]{30,}+
github_pat_ [A-Za-z0-9_]{22,}+
glpat- [\w-]{20,}+
xox [abeoprs]-[A-Za-z0-9-]{10,}+
xapp- [A-Za-z0-9-]{10,}+
hooks.slack.com/services/ [A-Z0-9]{8,}+/[A-Z0-9]{8,}+/[A-Za-z0-9]{16,}+
sk_live_ [A-Za-z0-9]{10,}+
rk_live_ [A-Za-z0-9]{10,}+
whsec_ [A-Za-z0-9+/=]{16,}+
AIza [\w-]{30,}+
ya29. [\w-]{20,}+
GOCSPX- [\w-]{20,}+
sk- (?:(?:ant|proj|or|svcacct|admin|lf)-[\w-]{20,}+|[A-Za-z0-9]{20,}+)
npm_ [A-Za-z0-9]{30,}+
pypi- [\w-]{50,}+
SG. [\w-]{16,}+\.[\w-]{16,}+
SK [0-9a-f]{32,}+
AC [0-9a-f]{32,}+
hf_ [A-Za-z0-9]{30,}+
dop_v1_ [0-9a-f]{40,}+
dapi [0-9a-f]{32,}+
shpat_ [0-9a-fA-F]{32,}+
hvs. [\w-]{20,}+
lin_api_ [A-Za-z0-9]{30,}+
AGE-SECRET-KEY- [A-Z0-9]{40,}+
eyJ (?<!-eyJ)[\w-]{8,}+\.eyJ[\w-]{8,}+\.[\w-]{8,}+
"""
"""Keys by the text they begin with and an expression for the rest."""


def _known_key(row: str) -> tuple[str, re.Pattern[str]]:
    prefix, rest = row.split()
    return prefix, re.compile(rf"(?<!\w)(?<!\*\*\*){re.escape(prefix)}{rest}")


_KNOWN = dict(map(_known_key, _KNOWN_KEYS.strip().splitlines()))
# Sorted by first letter: the search then tries few alternatives at a place.
_BEGINNING = re.compile(
    "|".join(
        f"{letter}(?:{'|'.join(re.escape(prefix[1:]) for prefix in prefixes)})"
        for letter, prefixes in groupby(sorted(_KNOWN), lambda prefix: prefix[0])
    )
)

# Each alternative begins with a letter, which makes the search several times as fast.
_NAMED_SECRET = r"pass(?:w(?:or)?d|phrase|code|(?<=[_-]pass)(?![a-z]))|pwd|secret|private[_-]?key|access[_-]?key"
_NAMED_KEY = r"token|credential|auth(?!or)|" + "|".join(
    rf"{word}[_-]?key" for word in ("api", "account", "crypt(?:ion|o)?", "signing", "master", "licen[cs]e")
)
_STRONG = re.compile(_NAMED_SECRET)
_NAME = re.compile(
    rf"(?P<name>(?:{_NAMED_SECRET}|{_NAMED_KEY})[\w-]{{0,40}}+)"
    r"\\?[\"'`\])]{0,3}[ \t]*+"
    r"(?::?[ \t]*+&?[\w.<>\[\]?]{1,30}[ \t]*(?==))?"  # a type before the equals sign
    r"(?P<sign>[!=]==?|:=|[=-]>|\+=|[=:,(]|(?<=[ \t])(?=[\"']))[ \t]*+"
)
"""A name that says secret and what stands between it and its value; of text in lower case."""
_NOT_THE_SECRET = re.compile(
    r"(?:file|path|dir|name|type|field|ur[il]|id|label|title|header|prefix|format|class|selector|regex|pattern|version"
    r"|policy|arn|ref|algorithm|hint|message|text|error|placeholder)s?$"
)
"""Ends of names whose value only has to do with a secret."""
_LITERAL = re.compile(
    r"[A-Za-z@]{0,2}(?:\"((?:[^\"\\\r\n]|\\[^\r\n])*+)\"|'((?:[^'\\\r\n]|\\[^\r\n])*+)'|`((?:[^`\\\r\n]|\\[^\r\n])*+)`)"
    r"|\\[\"']([^\"'\\\r\n]*+)\\[\"']"
)
_BARE = re.compile(r"([^\s\"'`;,:=(){}<>\[\]&|#\\]{8,}+={0,2})(?=[ \t]*(?:[\r\n\"'`&\\]|\Z|[ \t]#))")
"""A value without quotes, as shells and YAML have it: the last word of its line."""
_PLACEHOLDER = re.compile(
    r"\$[{(]|\{\{|<[^<>]*>|%[sdv(]|%\w+%|\{[\w.]*\}|^[$%@:&]\w+$|x{4}|\*{3}|\.{3}|your|example|change.?me|changeit"
    r"|placeholder|dummy|redacted|sample|foobar|insert|replace|todo|://|^[./~]+\w+/"
)
"""In lower case: what is to be filled in, is computed, or is masked already."""
_TRIVIAL = re.compile(
    r"pass(?:wo?r?d)?|pwd|secret|token|key|auth|test|fake|mock|user|admin|login|none|null|default|string|value"
)
"""In lower case: words of which made-up secrets are made, and names of other things."""
_MIXED = re.compile(r"(?=.*[A-Za-z])(?=.*\d)\S{6,}|(?=.*[A-Za-z])(?=.*[!@#$%^&*?])[^\s.:/()\[\]=]{8,}")
_CODE = re.compile(r"[A-Za-z_$][\w$]*(?:(?:\.|->|::|-)[A-Za-z_$][\w$]*)*")
"""Names, alone or in a chain, as they stand in code."""

_COMMON_PAIRS = """
aabcdfgiklmnprstuvy babcdeilorsu cacdehiklorstu dabcdefilorsu eabcdefgilmnopqrstvwxy faefilorsu gaehilnorsu haeiot
iabcdefglmnoprstvz jaou keis ladeilostuy mabeilmopsu nacdefgiklnostuv oabcdfgiklmnoprstuvw paeiloprstuy qu
racdegiklmnoprstuy sacehilopstuy tacdefhilmoprstuy uabceilmnprst vaei waeiors xcept ypsty ze
"""
"""A letter and those that often follow it in words and names."""
_ORDINARY = frozenset(row[0] + second for row in _COMMON_PAIRS.split() for second in row[1:])
_RANDOM_SHARE = 0.3
"""A value is random if no fewer of its neighbouring pairs are odd. One in ten is in words, and half or more in keys."""

_LONG_LITERAL = re.compile(r"[\"'`]([A-Za-z0-9+/_*-]{32,}+={0,2}+)(?=[\"'`])")
_PUBLIC = re.compile(
    r"[0-9a-fA-Fx-]+$|sha\d+-|md5-|iVBORw0KGgo|/9j/|R0lGOD|UklGR|PHN2Zy|PD94bW|AAABAA|d09GR|AAEAAA|AAAA[BC]3Nza"
    r"|[\w-]*(.)\1{5}"
)
"""Hexadecimal numbers, which are hashes, UUIDs and test data as a rule, and how images, fonts and public keys begin."""
_HASH = re.compile(r"sha\d|sha-\d|md5|hash|digest|checksum|commit|rev|etag|integrity|fingerprint|guid|\*\*\*")
_LONGEST_KEY = 200
_NEAR = 60
"""How many characters before a literal may say that it is a hash."""

_PASSWORD_IN_URL = re.compile(r"://[^\s/:@\"'`<>]{0,100}+:([^\s/@\"'`<>]{3,200}+)@")
_AUTHORIZATION = re.compile(r"(?:bearer|basic)[ \t]+([\w.+/~-]{16,}+=*+)")

_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----")
_GAP = re.compile(r"(?:\\[nrt]|[\s\"'`,;+()#>|\\])*")
_KEY_HEADER = re.compile(r"[A-Z][\w-]{1,30}: [^\r\n\\\"']*")
_KEY_RUN = re.compile(r"(?:[\w+/=.*]|-(?!----))+")
"""Of a private key, and of all other keys: one of those in its place, masked or not, does not end the private key."""
_KEY_LINE = 16
"""Characters of a line of a private key at least, but for its last one."""
_LINE_END = re.compile(r"[ \t]*(?:[\"'`\\\r\n,;]|\Z|-----)")
_KEY_END = re.compile(rf"{_GAP.pattern}-----END")


def is_secret_file(path: str) -> bool:
    """Whether a file is one that holds keys or passwords, by its path alone, with either kind of slash."""
    tail = "/".join(path.replace("\\", "/").lower().rsplit("/", 2)[-2:])
    return bool(_SECRET_FILE.match(tail)) and not _HARMLESS_FILE.match(tail)


def mask(text: str) -> str:
    """The text with an asterisk for each character of what looks like a key or a password."""
    plain = text if text.isascii() else text.encode("ascii", "replace").decode("ascii")
    spans = list(_secrets(plain, plain.lower()))
    if "PRIVATE KEY" in plain:
        spans += _private_keys(_blanked(plain, spans))
    return _blanked(text, spans)


def _blanked(text: str, spans: list[Span]) -> str:
    """The text with asterisks in the spans, which may overlap."""
    if not spans:
        return text
    parts: list[str] = []
    done = 0
    for start, end in sorted(spans):
        start = max(start, done)
        if start < end:
            parts += text[done:start], "*" * (end - start)
            done = end
    return "".join(parts) + text[done:]


def _secrets(plain: str, lower: str) -> Iterator[Span]:
    """Where secrets stand in a text of ASCII, private keys apart, in no order; they may overlap."""
    yield from _known(plain)
    yield from _named(plain, lower)
    yield from _unnamed(plain, lower)
    yield from _sent(plain, lower)


def _known(plain: str) -> Iterator[Span]:
    """Keys whose beginning tells them."""
    for beginning in _BEGINNING.finditer(plain):
        if match := _KNOWN[beginning[0]].match(plain, beginning.start()):
            yield match.span()


def _private_keys(plain: str) -> Iterator[Span]:
    """The lines of private keys. Other keys must be masked: one among these lines does not end them."""
    place = 0
    while header := _PRIVATE_KEY.search(plain, place):
        place = yield from _key_lines(plain, header.end())


def _key_lines(plain: str, place: int) -> Generator[Span, None, int]:
    """The lines of the private key that begins at `place`; where it ends."""
    while True:
        gap = _GAP.match(plain, place)
        place = gap.end() if gap else place
        if header := _KEY_HEADER.match(plain, place):
            place = header.end()
            continue
        run = _KEY_RUN.match(plain, place)
        if not run:
            return place
        if len(run[0]) >= _KEY_LINE and _LINE_END.match(plain, run.end()):
            yield run.span()
            place = run.end()
            continue
        if _KEY_END.match(plain, run.end()):
            yield run.span()
        return place


def _named(plain: str, lower: str) -> Iterator[Span]:
    """Values of names that say secret."""
    for name in _NAME.finditer(lower):
        if value := _value(plain, name):
            strong = bool(_STRONG.search(lower, *name.span("name"))) and name["sign"] not in ("(", ",")
            if _is_secret(plain[slice(*value)], strong):
                yield value


def _value(plain: str, name: re.Match[str]) -> Span | None:
    """Where the literal stands that a name is given."""
    if _NOT_THE_SECRET.search(name["name"]):
        return None
    if literal := _LITERAL.match(plain, name.end()):
        return literal.span(literal.lastindex or 0)
    is_assigned = name["sign"] == "=" or (name["sign"] == ":" and plain[name.end() - 1] in " \t")
    bare = _BARE.match(plain, name.end()) if is_assigned else None
    return bare.span(1) if bare and (_is_random(bare[1]) or not _CODE.fullmatch(bare[1])) else None


def _unnamed(plain: str, lower: str) -> Iterator[Span]:
    """Long literals that look random, whatever their name."""
    for match in _LONG_LITERAL.finditer(plain):
        value = match[1]
        near = re.split(r"[\r\n]", lower[max(0, match.start() - _NEAR) : match.start()])[-1]
        if len(value) <= _LONGEST_KEY and not _PUBLIC.match(value) and not _HASH.search(near) and _is_key(value):
            yield match.span(1)


def _sent(plain: str, lower: str) -> Iterator[Span]:
    """Passwords in URLs and in headers."""
    if "@" in plain and "://" in plain:
        for match in _PASSWORD_IN_URL.finditer(plain):
            if not _PLACEHOLDER.search(match[1].lower()) and not _TRIVIAL.fullmatch(match[1].lower()):
                yield match.span(1)
    for match in _AUTHORIZATION.finditer(lower):
        if _is_random(plain[slice(*match.span(1))]):
            yield match.span(1)


def _is_secret(value: str, strong: bool) -> bool:
    """Whether the value of a name that says secret is one; a `strong` name has passwords people made up, too."""
    lower = value.lower()
    if len(value) < 6 or _PLACEHOLDER.search(lower):
        return False
    if len(value) >= 12 and " " not in value and _is_random(value):
        return True
    return strong and bool(_MIXED.fullmatch(value)) and not _TRIVIAL.search(lower)


def _is_key(value: str) -> bool:
    """Whether a value without a telling name is a key: random, with all of large letters, small ones and digits."""
    mixed = value != value.lower() and value != value.upper()
    return mixed and _is_random(value) and not _PLACEHOLDER.search(value.lower())


def _is_random(value: str) -> bool:
    """Whether too many neighbouring characters are of kinds that words and numbers do not put together."""
    value = value[:_LONGEST_KEY]
    odd = sum(map(_is_odd, value, value[1:]))
    return odd >= _RANDOM_SHARE * (len(value) - 1) and any(map(str.isdigit, value))


def _is_odd(first: str, second: str) -> bool:
    if first.isalpha() and second.isalpha():
        ordinary = (first + second).lower() in _ORDINARY or (first.islower() and second.isupper())
        return not ordinary and ord(second) - ord(first) not in (0, 1)
    return first.isalnum() and second.isalnum() and first.isdigit() != second.isdigit()
