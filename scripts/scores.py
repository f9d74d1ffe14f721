"""How good an answer is: what metrics.py of the data sets measures of its text, and what is wrong in its place.

Texts only: it knows of no model and no file but metrics.py.
"""

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

from scripts.cases import Case, EvalError
from scripts.faults import Edit, indents_wrongly, is_unbalanced, keeps_syntax, repeats_suffix


@dataclass(frozen=True)
class Scores:
    """Of one answer. The rates of metrics.py are of the text cut to one line where one line was asked for.

    The four faults are of all that was shown; None where nothing was, or where the fault could not be told.
    """

    exact_match: bool
    edit_similarity: float
    """0 to 100."""
    identifier_f1: float
    characters_saved: float
    perfect_lines: float
    shown: bool
    syntax_valid: bool | None = None
    repeated_suffix: bool | None = None
    wrong_indent: bool | None = None
    unbalanced: bool | None = None


def score(case: Case, completion: str, replaces: int, metrics: ModuleType) -> Scores:
    """Score what was shown, which replaces so many characters after the cursor."""
    text, shown = cut(case, completion, metrics), bool(completion.strip())
    some, pair = bool(text.strip()), (text, case.middle)
    edit = Edit(case.before, case.after, case.middle, completion, replaces, case.language)
    return Scores(
        exact_match=metrics.em(*pair),
        edit_similarity=metrics.es(*pair) if some else 0.0,
        identifier_f1=metrics.id_f1(*pair) if some else 0.0,
        characters_saved=metrics.saved(*pair),
        perfect_lines=metrics.perfect_lines(*pair) if some else 0.0,
        shown=shown,
        syntax_valid=keeps_syntax(edit) if shown else None,
        repeated_suffix=repeats_suffix(edit) if shown else None,
        wrong_indent=indents_wrongly(edit) if shown else None,
        unbalanced=is_unbalanced(edit) if shown else None,
    )


def cut(case: Case, completion: str, metrics: ModuleType) -> str:
    """What counts of an answer: one line where one was asked for, without the rest of the cursor's line."""
    if case.kind == "span":
        return completion
    counted: str = metrics.cut(completion, {"kind": case.kind, "suffix": case.after, "middle": case.middle})
    return counted


@cache
def load_metrics(bench: Path) -> ModuleType:
    """metrics.py of the folder. Raises `EvalError`."""
    path = bench / "metrics.py"
    spec = importlib.util.spec_from_file_location("metrics", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise EvalError(f"There is no {path}, which scores the answers; name its folder with --bench.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
