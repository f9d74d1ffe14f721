"""One case through the real completer: what it says, what that cost, whether the tests run, and how good it is."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from flash_ls.completer import Completer, Completion
from flash_ls.deadline import Deadline
from scripts.cases import Case
from scripts.predictions import Record
from scripts.program import passes
from scripts.project import Project
from scripts.scores import load_metrics, score


class Answer(NamedTuple):
    """What the completer said for one case."""

    text: str
    """As an insertion at the cursor."""
    replaces: int
    """How many characters after the cursor it takes the place of, besides those that it repeats."""
    latency_ms: float
    completion: Completion


def answer(completer: Completer, case: Case, project: Project) -> Answer:
    snapshot = case.snapshot
    completer.context = project.context_for(case)
    start = time.perf_counter()
    ask = completer.whole if case.kind == "span" else completer.complete
    completion = ask(snapshot, Deadline())
    return Answer(*inserted(case, completion), (time.perf_counter() - start) * 1e3, completion)


def inserted(case: Case, completion: Completion) -> tuple[str, int]:
    """The answer as text between `before` and `after`, and how much of `after` it still replaces."""
    replaced = completion.end - len(case.before)
    repeated = case.after[:replaced]
    if repeated and completion.text.endswith(repeated):
        return completion.text.removesuffix(repeated), 0
    return completion.text, replaced


def record(completer: Completer, case: Case, project: Project, bench: Path) -> Record:
    """Answer a case, run its tests and score it."""
    said, metrics = answer(completer, case, project), load_metrics(bench)
    stats, evidence = said.completion.stats, said.completion.evidence
    tested = f"{case.before}{said.text}{case.after[said.replaces :]}\n{case.test}"
    return Record(
        id=case.id,
        digest=case.digest,
        kind=case.kind,
        language=case.language,
        cross_file=case.cross_file,
        completion=said.text,
        replaces=said.replaces,
        latency_ms=said.latency_ms,
        reason=said.completion.reason,
        prompt_tokens=stats.prompt_tokens if stats else None,
        cached_tokens=stats.cached_tokens if stats else None,
        evidence=asdict(evidence) if evidence else None,
        probability=said.completion.probability,
        passed=passes(tested) if case.test else None,
        scores=score(case, said.text, said.replaces, metrics),
    )
