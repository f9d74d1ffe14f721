"""Cases that Hypothesis draws, and makes smaller itself when one fails."""

from collections.abc import Callable

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from scripts.fuzzing.cases import ENCODINGS
from scripts.fuzzing.edits import PIECES, URIS, note
from scripts.fuzzing.finding import Steps

TEXTS = st.lists(st.sampled_from(PIECES), max_size=10).map("".join)
NUMBERS = st.one_of(st.integers(0, 12), st.integers(-(2**33), 2**33))
PLACES = st.fixed_dictionaries({"line": NUMBERS, "character": NUMBERS})
SPANS = st.one_of(st.fixed_dictionaries({"start": PLACES, "end": PLACES}), st.tuples(PLACES, PLACES).map(list))
CHANGES = st.lists(
    st.one_of(st.fixed_dictionaries({"text": TEXTS}), st.fixed_dictionaries({"range": SPANS, "text": TEXTS})),
    max_size=4,
)
VERSIONS = st.integers(-(2**31), 2**31 - 1)
KNOWN = st.sampled_from(URIS[:2])
OPENED = st.fixed_dictionaries({"uri": KNOWN, "languageId": st.just("python"), "version": VERSIONS, "text": TEXTS})
CHANGED = st.fixed_dictionaries({"uri": KNOWN, "version": VERSIONS})
MESSAGES = st.one_of(
    OPENED.map(lambda document: note("textDocument/didOpen", {"textDocument": document})),
    st.tuples(CHANGED, CHANGES).map(
        lambda drawn: note("textDocument/didChange", {"textDocument": drawn[0], "contentChanges": drawn[1]})
    ),
    st.tuples(CHANGED, CHANGES).map(
        lambda drawn: note("textDocument/didChange", {"textDocument": drawn[0], "contentChanges": drawn[1]})
    ),
    KNOWN.map(lambda uri: note("textDocument/didClose", {"textDocument": {"uri": uri}})),
)
STEPS = st.tuples(
    st.sampled_from(ENCODINGS).map(lambda encoding: [{"encoding": encoding}]),
    st.lists(MESSAGES.map(lambda message: {"own": message}), min_size=10, max_size=60),
).map(lambda parts: parts[0] + parts[1])


def search(run: Callable[[Steps], object], examples: int, number: int) -> None:
    """Run so many cases. Raises what the smallest that fails raises."""
    phases = [Phase.generate, Phase.shrink]
    quiet = settings(
        max_examples=examples, database=None, deadline=None, phases=phases, suppress_health_check=list(HealthCheck)
    )

    def check(steps: Steps) -> None:
        run(steps)

    seed(number)(quiet(given(STEPS)(check)))()
