"""A newly trained model, the challenger, against the live one, the champion, before it takes over.

Both list for the same users of the new test window, as a night would list for them: after catching
up with what came before it. Neither has learned from that window, else there is no comparison. The
paired difference of their recall, with its interval, decides by the rule of the settings; the loser
stays among the models and can be pointed to again. Called by `train`.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pipelines import answers, catch_up, questions
from pipelines.inputs import Inputs
from pipelines.questions import Question
from pipelines.settings import Settings
from pipelines.trained import Model
from recsys import distributed
from recsys.data.splits import TEST, Split
from recsys.errors import Fault
from recsys.evaluation.lists import Floats
from recsys.evaluation.metrics import match, recall_at_k
from recsys.evaluation.significance import Interval, paired_difference


@dataclass(frozen=True)
class Verdict:
    """Which model goes live, and why.

    Attributes:
        challenger_wins: whether the pointer moves.
        why: for people.
        users: how many were compared; 0 where nothing was.
        challenger, champion: mean recall of each.
        difference: challenger less champion, paired by user: mean, low and high end.
    """

    challenger_wins: bool
    why: str
    users: int = 0
    challenger: float | None = None
    champion: float | None = None
    difference: tuple[float, float, float] | None = None

    def facts(self) -> dict[str, Any]:
        """For the run's record."""
        return asdict(self)


def judged(
    settings: Settings, found: Inputs, split: Split, challenger: Model, champion: Model
) -> Verdict:
    """Compares two models, and decides.

    Args:
        settings: `champion.rule`, and the lists.
        found: catalogue and log that the challenger was trained on.
        split: of that log.
        challenger: the new model.
        champion: the live one.
    """
    if reason := _no_comparison(settings, found, split, challenger, champion):
        return Verdict(True, f"the new model goes live uncompared: {reason}")
    asked = questions.question(split, TEST)
    k = settings.evaluation.ks[0]
    try:
        theirs = _recall(settings, found, split, asked, champion, k)
    except Fault as fault:
        return Verdict(True, f"the new model goes live: the live one cannot be used: {fault.what}")
    ours = _recall(settings, found, split, asked, challenger, k)
    generator = np.random.default_rng(settings.evaluation.seed)
    gain = paired_difference(ours, theirs, generator, settings.evaluation.draws)
    wins = _wins(settings, gain)
    told = (
        f"recall_at_{k} of {gain.users:,} users {np.nanmean(ours):.4f}, of the live model "
        f"{np.nanmean(theirs):.4f}; difference {gain.mean:+.4f} [{gain.low:+.4f} {gain.high:+.4f}]"
    )
    outcome = "the new model goes live" if wins else "the live model stays"
    return Verdict(
        wins, f"{outcome} (champion.rule={settings.champion.rule}): {told}", gain.users,
        float(np.nanmean(ours)), float(np.nanmean(theirs)), (gain.mean, gain.low, gain.high),
    )  # fmt: skip


def _wins(settings: Settings, gain: Interval) -> bool:
    """What the rule makes of the paired difference; nothing to compare is no worse."""
    if not gain.users:
        return True
    return gain.low > 0 if settings.champion.rule == "better" else gain.high >= 0


def _no_comparison(
    settings: Settings, found: Inputs, split: Split, challenger: Model, champion: Model
) -> str:
    """Why two models cannot be compared fairly; empty where they can."""
    before = champion.course.get("test_seconds")
    if settings.champion.rule == "always":
        return "champion.rule=always"
    if challenger.content == champion.content:
        return "it is the live model once more"
    if not (split.parts == TEST).any():
        return "the test window is empty"
    if split.test_seconds is not None and before is not None:
        if before <= split.test_seconds:
            return ""
        return "the live model was trained or validated on events of the test window"
    same = champion.course.get("split") == challenger.course.get("split")
    same &= champion.parents.get("interactions") == found.interactions.name
    return "" if same else "the live model's split is another, and may hold what is asked here"


def _recall(
    settings: Settings, found: Inputs, split: Split, asked: Question, model: Model, k: int
) -> Floats:
    """`[U]` recall of the lists that a night of the window's first day would publish."""
    past = split.window(TEST).history
    if distributed.world().size == 1:  # only training runs in several processes
        model = catch_up.caught_up(settings, found, model, asked.at_seconds)
    recommender = answers.recommender(settings, found, model, past, asked.at_seconds)
    lists = answers.lists(recommender, asked, k, settings.engine)
    return recall_at_k(match(lists, asked.wanted()), k)
