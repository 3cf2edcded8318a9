"""What `evaluate` compares: the model as trained and caught up, its variants, the baselines."""

from dataclasses import replace

from pipelines import ablation as ablations
from pipelines import answers, catch_up, stand_ins
from pipelines.ablation import Ablation
from pipelines.answers import System
from pipelines.inputs import Inputs
from pipelines.questions import Question
from pipelines.settings import Settings
from pipelines.trained import Model
from recsys.data import splits
from recsys.data.splits import Split
from recsys.models.item_features import ItemFeatures
from recsys.progress import say
from recsys.serving.recommend import Recommender

LISTS, MODEL, CAUGHT_UP = "lists", "model", "caught_up"
STAND_INS = "with stand-ins"


def of_window(
    settings: Settings, found: Inputs, split: Split, model: Model, features: ItemFeatures,
    ablation: Ablation, asked: Question, recommender: Recommender,
) -> dict[str, System]:  # fmt: skip
    """The systems of the test window by name; `lists`, what the others are compared with, first.

    `lists` are those of the model as it was trained, for which what came in the validation window
    is new; `caught_up` those of the model after that window, as the night would make them; `model`
    those without a reranker.

    Args:
        settings, found, split: what is judged, on what.
        model: as trained.
        features: of all items, as training saw them.
        ablation: modalities to hide, or to train without.
        asked: the window's users.
        recommender: of `model` with all `features`, at the window's beginning.
    """
    past, k = split.window(splits.TEST).history, max(settings.evaluation.ks)
    engine = settings.engine

    def lists(of: Model, seen: ItemFeatures | None) -> System:
        made = answers.recommender(settings, found, of, past, asked.at_seconds, seen)
        return answers.system(made, asked, k, engine)

    systems = {LISTS: answers.system(recommender, asked, k, engine)}
    updated = catch_up.caught_up(settings, found, model, asked.at_seconds)
    if updated is not model:
        systems[CAUGHT_UP] = lists(updated, None)
    variants = ablations.variants(features, ablation)
    if ablation.stand_ins:
        variants[STAND_INS] = stand_ins.filled(settings, found, features)
    for name, seen in variants.items():
        other = model
        if ablation.retrain:
            say(f"training {name}")
            other = ablations.trained(settings, found, split, model, seen)
        systems[name] = lists(other, seen)
    if ablation.every and not ablation.retrain and recommender.people is not None:
        nobody = replace(recommender, people=None)
        systems["without user attributes"] = answers.system(nobody, asked, k, engine)
    systems[MODEL] = answers.system(recommender, asked, k, engine, reranked=False)
    return systems | answers.baselines(settings, past, asked, recommender, k)
