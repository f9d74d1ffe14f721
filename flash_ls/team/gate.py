"""Who may ask a team's server, and for what."""

from __future__ import annotations

import hmac
import math
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import NamedTuple

import msgspec

from flash_ls.config import MOST_TOKENS
from flash_ls.engine.manifest import ModelManifest
from flash_ls.shared.messages import Generate
from flash_ls.team.frames import MODEL_HEADER, MOST_BYTES, PATH, REQUEST, ROUTE_HEADER, Request, fingerprint
from flash_ls.team.token import digest

MOST_BUDGET_MS = 60_000.0
_ROUTE = re.compile(r"[0-9a-f]{1,32}")


class Refusal(NamedTuple):
    """Why a request is not answered, and its HTTP status."""

    status: HTTPStatus
    sentence: str


UNKNOWN = Refusal(
    HTTPStatus.UNAUTHORIZED, "It does not know your token; ask who runs it, and set FLASH_LS_ENGINE_TOKEN."
)
TOO_LONG = Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A request may have {MOST_BYTES} bytes.")
BUSY = Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "It is busy, and nobody waits for this.")
NOWHERE = Refusal(HTTPStatus.NOT_FOUND, f"There is only {PATH}; update flash-ls, or correct flashLs.engine_url.")


class Gate:
    """What is checked before the model sees a request."""

    def __init__(self, described: ModelManifest, digests: Iterable[bytes]) -> None:
        """`digests`: of the tokens that are let in."""
        self._described = described
        self._model = fingerprint(described)
        self._digests = tuple(digests)

    def refusal(self, path: str, headers: Mapping[str, str]) -> Refusal | None:
        """Before the body is read. The keys of `headers` are in lower case."""
        if not self._knows(headers.get("authorization", "")):
            return UNKNOWN
        if path != PATH:
            return NOWHERE
        if headers.get(MODEL_HEADER.lower()) != self._model:
            name, revision = self._described.name, self._described.revision[:12]
            said = (
                f"It runs the model {name} ({revision}), and yours is another; set flashLs.model, or update flash-ls."
            )
            return Refusal(HTTPStatus.CONFLICT, said)
        if not _ROUTE.fullmatch(headers.get(ROUTE_HEADER.lower(), "")):
            return Refusal(HTTPStatus.BAD_REQUEST, f"The header {ROUTE_HEADER} is no hexadecimal number.")
        return TOO_LONG if _length(headers) > MOST_BYTES else None

    def read(self, body: bytes) -> Request | Refusal:
        """The request that a body is."""
        try:
            request = REQUEST.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return Refusal(HTTPStatus.BAD_REQUEST, f"The request cannot be read ({error}); update flash-ls.")
        fault = self._fault(request)
        return Refusal(HTTPStatus.BAD_REQUEST, fault) if fault else request

    def _knows(self, authorization: str) -> bool:
        """In a time that does not depend on the token."""
        kind, _, token = authorization.partition(" ")
        found = digest(token)
        same = [hmac.compare_digest(found, known) for known in self._digests]
        return kind.lower() == "bearer" and any(same)

    def _fault(self, request: Request) -> str:
        """What would harm the engine."""
        said, most = request.prompt, 0
        if isinstance(request, Generate):
            said = [*said, *(step.token for step in request.forced)]
            most = request.max_tokens
        if not request.prompt or len(said) > MOST_TOKENS or not 0 <= most <= MOST_TOKENS:
            return f"A request has 1 to {MOST_TOKENS} tokens."
        if min(said) < 0 or max(said) >= self._described.shape.vocabulary:
            return "A token is not of this model."
        return "A budget is a number." if math.isnan(request.budget_ms) else ""


def _length(headers: Mapping[str, str]) -> int:
    said = headers.get("content-length", "0")
    return int(said) if said.isascii() and said.isdecimal() else 0
