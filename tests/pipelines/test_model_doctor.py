"""The model doctor's verdicts: quiet on what is healthy, and the right setting for each illness."""

import pytest

from pipelines import model_doctor
from pipelines.doctor import Finding
from recsys.evaluation.health import ListHealth, VectorHealth
from recsys.training.negatives import NegativeStatistics

HEALTHY = NegativeStatistics(
    negatives=1100, head_share=0.12, head_events=0.5, false_negatives=0, hidden=1, catalogue=1500
)


def warned(findings: list[Finding]) -> dict[str, str]:
    return {found.check: found.fix for found in findings if found.verdict != "ok"}


def test_quiet_on_what_is_healthy() -> None:
    assert warned(model_doctor.of_negatives(HEALTHY)) == {}
    assert warned(model_doctor.of_lists(ListHealth(1.5, 0.01))) == {}
    assert warned(model_doctor.of_vectors("item vectors", VectorHealth(0.1, 30))) == {}
    # a tiny shop cannot have a hundred negatives
    tiny = NegativeStatistics(40, 0.15, 0.3, 0, 1, 60)
    assert warned(model_doctor.of_negatives(tiny)) == {}


@pytest.mark.parametrize(
    ("change", "check", "setting"),
    [
        ({"negatives": 30.0}, "negatives", "train.batches.negatives"),
        ({"head_share": 0.6}, "skew", "candidates=mixed"),
        ({"false_negatives": 0.05}, "false negs", "mask_history=true"),
    ],
)
def test_each_bad_set_up_of_negatives(change: dict[str, float], check: str, setting: str) -> None:
    found = warned(model_doctor.of_negatives(NegativeStatistics(**{**vars(HEALTHY), **change})))  # type: ignore[arg-type]
    assert list(found) == [check]
    assert setting in found[check]


def test_each_sign_of_a_collapsed_model() -> None:
    assert list(warned(model_doctor.of_lists(ListHealth(9.0, 0.01)))) == ["popularity"]
    assert list(warned(model_doctor.of_lists(ListHealth(1.0, 0.6)))) == ["same list"]
    for ill in (VectorHealth(0.9, 30), VectorHealth(0.1, 1.2)):
        assert list(warned(model_doctor.of_vectors("user vectors", ill))) == ["user vectors"]
