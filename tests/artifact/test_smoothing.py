"""Evened out channels say the same, and lose less to rounding."""

import numpy as np

from flash_ls.artifact.quantise import FloatArray
from flash_ls.artifact.smoothing import smoothed
from tests.rounded_weights import in_eight_bits_by_output

RANDOM = np.random.default_rng(0)
HIDDEN, INNER = 64, 256
UP = RANDOM.normal(0, 1, (INNER, HIDDEN)).astype(np.float32)
UP[::37] *= 40  # a few channels are large
DOWN = RANDOM.normal(0, 1, (HIDDEN, INNER)).astype(np.float32)
STATES = RANDOM.normal(0, 1, (50, HIDDEN)).astype(np.float32)
LARGEST = np.abs(STATES @ UP.T).max(axis=0)


def rounded_product(up: FloatArray, down: FloatArray) -> FloatArray:
    """Both as the engine has them: each token in steps of 1/127 of its largest, and weights of 8 bits."""
    inner = STATES @ up.T
    steps = np.abs(inner).max(axis=1, keepdims=True) / 127
    product: FloatArray = np.rint(inner / steps) * steps @ in_eight_bits_by_output(down).T
    return product


def test_the_product_stays_what_it_is() -> None:
    up, down = smoothed(UP, DOWN, LARGEST)
    expected = STATES @ UP.T @ DOWN.T
    np.testing.assert_allclose(STATES @ up.T @ down.T, expected, atol=1e-4 * np.abs(expected).max())


def test_less_is_lost_by_rounding() -> None:
    exact = STATES @ UP.T @ DOWN.T
    before, after = (
        np.square(rounded_product(*pair) - exact).mean() for pair in ((UP, DOWN), smoothed(UP, DOWN, LARGEST))
    )
    assert after < 0.5 * before


def test_a_channel_that_met_nothing_is_no_error() -> None:
    largest, down = LARGEST.copy(), DOWN.copy()
    largest[3], down[:, 4] = 0, 0
    assert all(np.isfinite(part).all() for part in smoothed(UP, down, largest))
