"""Cases of the long tail: they are where they say, their words are known, and nothing learns from their files."""

import re
from pathlib import Path

from models.corpus import LANGUAGES
from models.data import SYNTHETIC_SEED
from models.long_tail import held_out, write
from models.synthetic import HELD_OUT, files
from scripts.cases import check, load_files


def test_cases_to_score_on_are_read_by_the_evaluation_and_their_words_are_known(tmp_path: Path) -> None:
    cases, sources = held_out(24, 0)
    write(tmp_path / "cases.jsonl.gz", cases)
    write(tmp_path / "files.jsonl", ({"repo": one.package, "path": one.path, "text": one.text} for one in sources))
    suite = load_files(tmp_path / "cases.jsonl.gz", tmp_path / "files.jsonl")
    check(suite)
    assert len(suite.cases) == 24
    assert {case.language for case in suite.cases} == set(LANGUAGES)
    assert {case.kind for case in suite.cases} == {"line", "mid-line", "block"}
    for case in suite.cases:
        assert suite.files[case.repo][case.path] == case.before + case.middle + case.after
        assert set(re.findall(r"[^\W\d]\w*", case.middle)) <= set(
            re.findall(r"[^\W\d]\w*", f"{case.before} {case.after}")
        )
    assert {case["place"] for case in cases} == {"deep", "literal", "rare"}


def test_deep_cases_are_deep() -> None:
    cases, _ = held_out(24, 1)
    deep = [case["prefix"].rsplit("\n", 1)[1] for case in cases if case["place"] == "deep"]
    assert min(len(line) - len(line.lstrip()) for line in deep) >= 5


def test_no_case_to_score_on_is_of_a_file_that_training_uses() -> None:
    assert SYNTHETIC_SEED < HELD_OUT
    _, sources = held_out(8, 0)
    taught = {one.text for language in LANGUAGES for one in files(language, 24, SYNTHETIC_SEED)}
    assert taught.isdisjoint(one.text for one in sources)
