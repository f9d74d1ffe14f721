"""The chance that a suggestion is right, and the fit of its weights."""

import json
from dataclasses import fields, replace
from importlib import resources

import numpy as np
import pytest

from flash_ls.confidence import Evidence, probability
from models import confidence
from models.confidence import Sample, at, curve, fit

SURE = Evidence(total=-0.1, mean=-0.02, least=-0.05, first=-0.05, length=3.0, ended=1.0)
UNSURE = Evidence(total=-9.0, mean=-1.5, least=-3.0, first=-3.0, length=3.0, ended=1.0, retried=2.0, unknown=0.5)


def test_what_the_model_is_sure_of_is_likelier() -> None:
    assert 0 < probability(UNSURE) < 0.3 < probability(SURE) < 1


@pytest.mark.parametrize("total", [-1e9, 1e9])
def test_no_evidence_is_too_strong_to_be_told(total: float) -> None:
    assert 0 <= probability(replace(SURE, total=total, mean=total)) <= 1


def test_every_feature_has_a_weight() -> None:
    raw = json.loads(resources.files("flash_ls").joinpath("confidence.json").read_text())
    assert set(raw["weights"]) == {field.name for field in fields(Evidence)}


@pytest.fixture(scope="module")
def made() -> tuple[Sample, np.ndarray]:
    """Suggestions whose true odds are known, and those odds."""
    random = np.random.default_rng(0)
    evidence = random.normal(0, 1, (4000, len(confidence.NAMES)))
    chances = 1 / (1 + np.exp(-(0.5 + 2 * evidence[:, 1] - evidence[:, 3])))
    return Sample(evidence, (random.random(4000) < chances).astype(float)), chances


def test_the_fit_finds_the_weights_that_made_the_sample(made: tuple[Sample, np.ndarray]) -> None:
    sample, chances = made
    fitted = fit(sample)
    assert fitted.intercept == pytest.approx(0.5, abs=0.15)
    expected = [2.0 if name == "mean" else -1.0 if name == "first" else 0.0 for name in confidence.NAMES]
    assert fitted.weights == pytest.approx(expected, abs=0.15)
    assert np.abs(fitted.probabilities(sample.evidence) - chances).mean() < 0.03


def test_groups_are_scored_by_the_others(made: tuple[Sample, np.ndarray]) -> None:
    sample, _ = made
    halves = [
        Sample(sample.evidence[:2000], sample.right[:2000]),
        Sample(sample.evidence[2000:], 1 - sample.right[2000:]),
    ]
    chances = confidence.cross_validated(halves)
    assert np.corrcoef(chances[:2000], sample.right[:2000])[0, 1] < 0, "the other half says the opposite"


def test_a_threshold_is_told_by_what_it_shows() -> None:
    chances, right = np.array([0.9, 0.8, 0.4, 0.1]), np.array([1.0, 1.0, 0.0, 1.0])
    shown = at(0.5, chances, right)
    assert shown == pytest.approx({"threshold": 0.5, "shown": 0.5, "precision": 1.0, "gain": 4 / 3, "kept": 2 / 3})
    rows = {row["shown"]: row for row in curve(chances, right)}
    assert (rows[0.5]["precision"], rows[1.0]["precision"]) == (1.0, 0.75)
