"""Heads on vectors: figures worked out by hand, and labels that are planted."""

import numpy as np
import pytest

from recsys.evaluation import probes


def test_macro_f1_golden() -> None:
    # label 0: 1 right of 2 told and 1 true: F1 2/3; label 1: 0 of 1 true: 0; label 2: nowhere
    told = np.array([[1, 0, 0], [1, 0, 0]], bool)
    true = np.array([[1, 0, 0], [0, 1, 0]], bool)
    assert probes.macro_f1(told, true) == pytest.approx((2 / 3 + 0) / 2)


def test_calibration_golden() -> None:
    # says .9 twice and is right once: |.9 - .5| = .4 of half; says .6 twice and is right twice: .4
    told = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]])
    true = np.array([[1, 0], [0, 1], [0, 1], [0, 1]], bool)
    assert probes.calibration_error(told, true, single=True) == pytest.approx(0.4)
    # every label by itself: .1 (1 of 2), .4 (0 of 2), .6 (2 of 2), .9 (1 of 2): all off by .4
    assert probes.calibration_error(told, true, single=False) == pytest.approx(0.4)


@pytest.mark.parametrize("head", ["linear", "neighbours"])
@pytest.mark.parametrize("single", [True, False])
def test_planted_labels_are_found(head: probes.Head, single: bool) -> None:
    random = np.random.default_rng(0)
    codes = random.integers(0, 4, 400)
    vectors = (3 * np.eye(4, 6)[codes] + random.normal(size=(400, 6))).astype(np.float32)
    labels = np.eye(4, dtype=bool)[codes]
    if not single:
        labels[codes == 1, 0] = True  # whatever is 1 is 0 as well
    asked = probes.probabilities(head, vectors[:300], labels[:300], vectors[300:])
    judged = probes.judge(asked, labels[300:])
    assert judged.accuracy > 0.8
    assert judged.macro_f1 > 0.85 > 2 * judged.majority
    assert judged.ece < 0.15
    shuffled = labels[random.permutation(400)]
    chance = probes.probabilities(head, vectors[:300], shuffled[:300], vectors[300:])
    assert probes.judge(chance, shuffled[300:]).accuracy < 0.5


def test_labels_that_all_or_none_have() -> None:
    vectors = np.random.default_rng(1).normal(size=(12, 3)).astype(np.float32)
    labels = np.zeros((12, 3), bool)
    labels[:, 0] = labels[::2, 2] = True
    told = probes.probabilities("linear", vectors, labels, vectors[:2])
    assert told[:, :2].tolist() == [[1, 0], [1, 0]]
    one = np.ones((12, 1), bool)
    assert probes.probabilities("linear", vectors, one, vectors[:2]).tolist() == [[1], [1]]


def test_indicators() -> None:
    made = probes.indicators([["a"], [], ["b", "a", "z"]], ("a", "b"))
    assert made.tolist() == [[True, False], [False, False], [True, True]]
