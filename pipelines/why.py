"""Why each row of a list stands there: for `show-user --why`, the report and the explorer."""

from typing import Any, TypedDict

import torch

from pipelines import space
from pipelines.night import Night
from recsys.data.histories import Histories
from recsys.serving import reasons
from recsys.serving.reasons import LeftOut


class Why(TypedDict):
    """Why one row stands there.

    Keys:
        drawn_by: items of the history without which its score would be lowest, strongest first,
            each as `item_id` and `worth`, what the score loses.
        parts: what the score loses without each modality that the item has.
        weights: how much each modality counted in the item's vector; None for a fusion that does
            not weigh.
    """

    drawn_by: list[dict[str, Any]]
    parts: dict[str, float]
    weights: dict[str, float] | None


def of_list(
    made: Night, history: Histories, items: list[str], without: LeftOut | None = None
) -> list[Why]:
    """One `Why` for each of `items`; empty for those that the catalogue no longer knows.

    Args:
        made: what the list was made from.
        history: of its user, with at least one event.
        items: ids, of the list or not.
        without: of that history, where it is known already.
    """
    ids = made.found.vocabulary
    known = [item for item in items if item in ids]
    rows = ids.rows(known)
    without = without or reasons.left_out(made.recommender, history)
    drawn = reasons.drawn(made.recommender, made.features, without, rows)
    weights = space.weights_of(made.model.towers, made.features.gather(torch.from_numpy(rows)))
    told = {
        item: Why(
            drawn_by=[
                {"item_id": ids.ids[row], "worth": worth} for row, worth in drawn.pulls(place)
            ],
            parts=drawn.parts(place),
            weights=weights[place],
        )
        for place, item in enumerate(known)
    }
    return [told.get(item, Why(drawn_by=[], parts={}, weights=None)) for item in items]


def line(why: Why, titles: dict[str, str]) -> str:
    """One line of text."""
    parts = []
    if why["drawn_by"]:
        pulls = (
            f"{pull['item_id']} {titles.get(pull['item_id'], '')} {pull['worth']:+.2f}"
            for pull in why["drawn_by"]
        )
        parts.append(f"drawn by {', '.join(pulls)}")
    if why["parts"]:
        lost = (f"{name} {-worth:+.2f}" for name, worth in why["parts"].items())
        parts.append(f"without {', '.join(lost)}")
    if why["weights"]:
        parts.append(f"fused of {space.weighed(why['weights'])}")
    return "; ".join(parts)
