"""A newly trained model takes over only if it is no worse for the same users; the loser is kept."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipelines import cli, train
from recsys import artefacts
from recsys.data.sample_shop import write_shop
from recsys.data.synthetic import ShopSettings
from recsys.serving.reranking import Reranker

SHOP = ShopSettings(
    items=150, users=150, days=24, events=9000, first=0.9, taste=9, novelty=0, burst=0, drifting=0,
    photo_side=16, no_clip=1, broken=0,
)  # fmt: skip
GATES = ("few_users", "gains_on_popular", "same_list", "one_item_in_lists")  # it is a tiny shop


def upside_down(patch: pytest.MonkeyPatch) -> None:
    """Models trained from now on list the least fitting items first."""
    right = train.settle

    def turned(*inputs: Any) -> Reranker:
        fitted = right(*inputs)
        return dataclasses.replace(fitted, weights=(-1.0, *(0.0 for _ in fitted.weights[1:])))

    patch.setattr(train, "settle", turned)


class Work:
    """A work folder, and commands in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def recsys(self, *words: str) -> int:
        settings = [
            f"work={self.folder}/work", f"data.folder={self.folder}/shop", "nightly.k=5",
            "tracking.enabled=false", "split.validation_days=3", "split.test_days=3",
            "train.epochs=4", "train.optimizer.table_learning_rate=0.05",
            "model.width=32", "evaluation.draws=200", "evaluation.ks=[10]",
            "features.video.encoder=none", "lists.candidates.count=120", "nightly.similar=0",
            *(f"gates.rules.{gate}.on=false" for gate in GATES),
        ]  # fmt: skip
        return cli.invoke([*words[:1], *settings, *words[1:]])

    def until(self, day: str) -> None:
        """The log as it was known on a day."""
        whole = (self.folder / "shop" / "interactions.all").read_text().splitlines()
        kept = [line for line in whole if line.split(",")[2] < day or "user_id" in line]
        (self.folder / "shop" / "interactions.csv").write_text("\n".join(kept) + "\n")

    def live(self) -> str:
        return (self.folder / "work" / "models" / "CURRENT").read_text().strip()

    def models(self) -> list[str]:
        return artefacts.versions(self.folder / "work" / "models")

    def verdict(self) -> dict[str, Any]:
        runs = (self.folder / "work" / "runs").glob("*/run.json")
        newest = max(runs, key=lambda path: path.stat().st_mtime_ns)
        found: dict[str, Any] = json.loads(newest.read_text())["champion"]
        return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """A model of the log until the 26th."""
    work = Work(tmp_path_factory.mktemp("champion"))
    write_shop(SHOP, work.folder / "shop")
    (work.folder / "shop" / "interactions.csv").rename(work.folder / "shop" / "interactions.all")
    work.until("2026-10-26")
    assert work.recsys("ingest") == 0
    assert work.recsys("train") == 0
    assert work.verdict()["why"] == "the first model goes live"
    return work


@pytest.fixture
def work(trained: Work, tmp_path: Path) -> Work:
    shutil.copytree(trained.folder, tmp_path, dirs_exist_ok=True)
    work = Work(tmp_path)
    work.until("2026-10-30")
    assert work.recsys("ingest") == 0
    return work


def test_a_worse_model_does_not_go_live(
    work: Work, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = work.live()
    upside_down(monkeypatch)
    assert work.recsys("train") == 0
    assert "the live model stays (champion.rule=not_worse): recall_at_10" in capsys.readouterr().out
    verdict = work.verdict()
    assert verdict["challenger_wins"] is False
    assert verdict["difference"][2] < 0 < verdict["champion"] - verdict["challenger"]
    assert verdict["users"] > 50
    assert work.live() == before
    assert len(work.models()) == 2  # the loser is kept
    loser = next(name for name in work.models() if name != before)
    artefacts.read(work.folder / "work" / "models" / loser, "model")


def test_a_better_model_goes_live(work: Work) -> None:
    first = work.live()
    with pytest.MonkeyPatch.context() as patch:
        upside_down(patch)
        assert work.recsys("train", "champion.rule=always") == 0
    poor = work.live()
    assert "uncompared: champion.rule=always" in work.verdict()["why"]
    assert poor != first
    assert work.recsys("train", "champion.rule=better", "train.seed=3", "train.epochs=15") == 0
    assert work.verdict()["difference"][0] > 0
    assert work.live() not in (first, poor)
    assert len(work.models()) == 3


def test_models_that_know_the_answers_are_not_compared(work: Work) -> None:
    # a challenger of an older log: the live model was validated on its test window
    assert work.recsys("train", 'split.end="2026-10-24"') == 0
    assert "trained or validated on events of the test window" in work.verdict()["why"]
    assert work.recsys("train", "split.kind=leave_one_out") == 0
    assert "split is another" in work.verdict()["why"]


def test_the_same_model_again_is_live(trained: Work, tmp_path: Path) -> None:
    shutil.copytree(trained.folder, tmp_path, dirs_exist_ok=True)
    work = Work(tmp_path)
    assert work.recsys("train") == 0
    assert "it is the live model once more" in work.verdict()["why"]
    assert work.models() == [work.live()]


def test_a_night_trains_again_when_enough_days_are_new(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    upside_down(monkeypatch)
    first = work.live()
    assert work.recsys("nightly", "nightly.retrain_every_days=5") == 0  # four days are new
    assert work.models() == [first]
    assert work.recsys("nightly", "nightly.retrain_every_days=4") == 0
    assert (work.live(), len(work.models())) == (first, 2)
    assert work.verdict()["challenger_wins"] is False
    # the training counts, though its model lost: the next night does not train again
    assert work.recsys("nightly", "nightly.retrain_every_days=4", "nightly.k=6") == 0
    assert len(work.models()) == 2
