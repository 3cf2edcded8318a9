"""Which modalities are hidden under which name, and what is said of each."""

import numpy as np
import pytest
import torch

from pipelines import ablation
from pipelines.ablation import Ablation
from recsys.errors import UsageFault
from recsys.evaluation.significance import Interval
from recsys.evaluation.table import Cell, EvaluationTable
from recsys.models.item_features import ItemFeatures


def features() -> ItemFeatures:
    present = torch.tensor([[True, True, True], [True, False, True], [False, True, False]])
    values = {"text": torch.zeros(3, 2), "image": torch.zeros(3, 4)}
    return ItemFeatures(("text", "image"), values, present)


def test_golden_variants() -> None:
    found = ablation.variants(features(), Ablation(every=True))
    assert {name: seen.present.int().tolist() for name, seen in found.items()} == {
        "without text": [[0, 1, 1], [0, 0, 1], [0, 1, 0]],
        "without image": [[1, 0, 1], [1, 0, 1], [0, 0, 0]],
        "without id": [[1, 1, 0], [1, 0, 0], [0, 1, 0]],
        "only text": [[1, 0, 0], [1, 0, 0], [0, 0, 0]],
        "only image": [[0, 1, 0], [0, 0, 0], [0, 1, 0]],
        "only id": [[0, 0, 1], [0, 0, 1], [0, 0, 0]],
    }
    assert list(ablation.variants(features(), Ablation(("image",)))) == ["without image"]
    assert list(ablation.variants(features(), Ablation(only=("id",)))) == ["only id"]
    assert ablation.variants(features(), Ablation()) == {}


def test_an_unknown_modality() -> None:
    with pytest.raises(UsageFault, match="one of text, image, id"):
        ablation.variants(features(), Ablation(("smell",)))


def test_verdicts() -> None:
    def cell(low: float, high: float) -> Cell:
        middle = (low + high) / 2
        return Cell(Interval(0.1, 0.1, 0.1, 9), Interval(middle, low, high, 9))

    rows = {
        "without text": cell(-0.04, -0.02),
        "without image": cell(0.01, 0.03),
        "without id": cell(-0.01, 0.02),
        "ease": cell(-0.9, -0.8),
        "without sound": cell(np.nan, np.nan),
    }
    table = EvaluationTable(
        ("lists", *rows), ("recall_at_10",), "lists", 9, 0.95,
        {(name, "recall_at_10"): found for name, found in rows.items()}
        | {("lists", "recall_at_10"): Cell(Interval(0.2, 0.1, 0.3, 9), None)},
    )  # fmt: skip
    assert ablation.verdicts(table, "recall_at_10") == [
        "text pays: recall_at_10 -0.0300 [-0.0400 -0.0200] without it",
        "image HURTS: leave it out: recall_at_10 +0.0200 [+0.0100 +0.0300] without it",
        "id shows no clear effect: recall_at_10 +0.0050 [-0.0100 +0.0200] without it",
    ]
