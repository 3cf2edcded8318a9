"""What vectors tell of an item: labels predicted by a linear probe and by nearest neighbours.

Called by `annotate` for categories and other attributes. An item may have several labels.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Vectors = npt.NDArray[np.float32]
Head = Literal["linear", "neighbours"]
BINS = 10
NEIGHBOURS = 10


@dataclass(frozen=True)
class Judged:
    """How well held-out labels are predicted.

    Attributes:
        accuracy: share of items whose set of labels is exactly right.
        macro_f1: mean over labels of the harmonic mean of precision and recall.
        ece: expected calibration error of the probabilities (Guo et al., 2017); 0 is best.
        majority: macro F1 of the most frequent label for every item.
        items: judged.
    """

    accuracy: float
    macro_f1: float
    ece: float
    majority: float
    items: int


def probabilities(head: Head, vectors: Vectors, labels: Mask, asked: Vectors) -> Floats:
    """`[q, C]` probability of each label.

    Args:
        head: a logistic regression, or the share of the nearest items by cosine that have it.
        vectors: `[n, D]` of items whose labels are known.
        labels: `[n, C]`; where every row has exactly one, probabilities of a row sum to 1.
        asked: `[q, D]`.
    """
    match head:
        case "linear":
            return _linear(vectors, labels, asked)
        case "neighbours":
            scores = _unit(asked) @ _unit(vectors).T
            k = min(NEIGHBOURS, len(vectors))
            nearest = np.argpartition(-scores, k - 1, axis=1)[:, :k]
            shares: Floats = labels[nearest].mean(axis=1)
            return shares


def predicted(probability: Floats, single: bool) -> Mask:
    """`[q, C]` labels: the most probable one where items have a single one, else all above 1/2."""
    if not single:
        return probability > 0.5
    best = probability.argmax(axis=1)
    return np.asarray(np.arange(probability.shape[1]) == best[:, None], np.bool_)


def judge(probability: Floats, labels: Mask) -> Judged:
    """Compares probabilities `[q, C]` with what is true, `[q, C]`."""
    single = bool((labels.sum(axis=1) == 1).all())
    told = predicted(probability, single)
    usual = np.zeros_like(labels)
    usual[:, labels.sum(axis=0).argmax()] = True
    return Judged(
        accuracy=float((told == labels).all(axis=1).mean()),
        macro_f1=macro_f1(told, labels),
        ece=calibration_error(probability, labels, single),
        majority=macro_f1(usual, labels),
        items=len(labels),
    )


def macro_f1(told: Mask, labels: Mask) -> float:
    """Mean over labels of 2 TP / (2 TP + FP + FN); labels without all three are left out."""
    right = (told & labels).sum(axis=0)
    both = told.sum(axis=0) + labels.sum(axis=0)
    return float((2 * right[both > 0] / both[both > 0]).mean()) if (both > 0).any() else 0.0


def calibration_error(probability: Floats, labels: Mask, single: bool) -> float:
    """Mean over ten bins of |confidence - share that is right|, weighed by the bin's size.

    Of the most probable label where items have a single one, else of every label.
    """
    if single:
        best = probability.argmax(axis=1)[:, None]
        confidence = np.take_along_axis(probability, best, 1).ravel()
        right = np.take_along_axis(labels, best, 1).ravel()
    else:
        confidence, right = probability.ravel(), labels.ravel()
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, confidence - right, BINS)
    return float(np.abs(gaps).sum() / max(len(confidence), 1))


def indicators(values: list[list[str]], known: tuple[str, ...]) -> Mask:
    """`[n, C]` which of the `known` labels each item has."""
    places = {name: place for place, name in enumerate(known)}
    made = np.zeros((len(values), len(known)), np.bool_)
    for row, names in enumerate(values):
        for name in names:
            if name in places:
                made[row, places[name]] = True
    return made


def _linear(vectors: Vectors, labels: Mask, asked: Vectors) -> Floats:
    from sklearn.linear_model import LogisticRegression

    mean, deviation = vectors.mean(axis=0), vectors.std(axis=0)
    scale = np.where(deviation > 1e-6, deviation, 1)
    learn, ask = (vectors - mean) / scale, (asked - mean) / scale
    made = np.zeros((len(asked), labels.shape[1]))
    if (labels.sum(axis=1) == 1).all():
        codes = labels.argmax(axis=1)
        if len(np.unique(codes)) == 1:
            made[:, codes[0]] = 1.0
            return made
        fitted = LogisticRegression(C=1.0, max_iter=300).fit(learn, codes)
        made[:, fitted.classes_] = fitted.predict_proba(ask)
        return made
    for number, column in enumerate(labels.T):
        if column.all() or not column.any():
            made[:, number] = float(column.all())
            continue
        fitted = LogisticRegression(C=1.0, max_iter=300).fit(learn, column)
        made[:, number] = fitted.predict_proba(ask)[:, 1]
    return made


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths == 0, 1, lengths), np.float32)
