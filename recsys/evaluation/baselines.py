"""The baselines that every model is printed beside: fit them all, then make their lists."""

from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
from pydantic import Field

from recsys.engine import HERE, EngineSettings, map_buckets
from recsys.errors import ResourceFault
from recsys.evaluation.ease import fit_ease
from recsys.evaluation.item_knn import fit_item_knn
from recsys.evaluation.lists import Mask, Rows, RowSets, Scores, Sequences
from recsys.evaluation.markov import fit_markov
from recsys.evaluation.own_history import fit_own_history
from recsys.evaluation.popular import Popular, fit_popular, fit_recent_popular
from recsys.evaluation.ranking import rank
from recsys.settings import Section

BaselineName = Literal[
    "popular",
    "recent_popular",
    "own_history",
    "markov",
    "item_knn",
    "item_knn_recent",
    "ease",
    "ease_recent",
]
WHOLE_HISTORY = 1_000_000  # events, more than anybody has
CELLS_PER_BLOCK = 8_000_000


class Baseline(Protocol):
    """Something fitted that scores all items for a block of users."""

    def scores(self, histories: Sequences, start: int, stop: int) -> Scores:
        """float32 `[stop - start, N]` for users `start:stop` of `histories`."""


class BaselineSettings(Section):
    """Which baselines stand in the table, and how they are set."""

    names: tuple[BaselineName, ...] = Field(
        get_args(BaselineName),
        description="Baselines that are fitted and evaluated beside the model; `recent` ones look "
        "at a user's latest events, the others at the whole history; own_history, what a user had "
        "most, is left out where items are not listed again.",
    )
    half_life_days: float = Field(
        7.0, gt=0, description="Age at which an event counts half in recent_popular, days."
    )
    markov_last: int = Field(10, ge=1, description="Latest events of a user that markov looks at.")
    markov_decay: float = Field(
        0.7, gt=0, le=1, description="What each older event, or farther pair, counts in markov."
    )
    markov_reach: int = Field(
        10, ge=1, le=100, description="Largest distance of the pairs markov learns from; 1 = next."
    )
    knn_neighbours: int = Field(200, ge=1, description="Similar items kept per item in item_knn.")
    knn_shrinkage: float = Field(
        10.0, ge=0, description="Added to the cosine's denominator: rare pairs count less."
    )
    knn_last: int = Field(
        10, ge=1, description="Latest events of a user that item_knn_recent looks at."
    )
    knn_decay: float = Field(
        0.7, gt=0, le=1, description="What each older event counts, item_knn_recent."
    )
    ease_regularisation: float = Field(500.0, gt=0, description="Ridge of ease.")
    ease_item_limit: int = Field(
        10_000, ge=1, description="Larger catalogues skip ease: it inverts items x items."
    )
    ease_last: int = Field(
        20, ge=1, description="Latest events of a user that ease_recent looks at."
    )
    ease_decay: float = Field(
        0.8, gt=0, le=1, description="What each older event counts in ease_recent."
    )


@dataclass(frozen=True)
class FittedBaselines:
    """Baselines by name, and why the others are missing."""

    fitted: dict[str, Baseline]
    skipped: dict[str, str]


def fit_baselines(
    histories: Sequences, n_items: int, at_seconds: int, settings: BaselineSettings,
    repeats: bool = False,
) -> FittedBaselines:  # fmt: skip
    """Fits the baselines named in the settings on training histories.

    Args:
        histories: training events only.
        n_items: N.
        at_seconds: the moment of the lists, for recent_popular.
        settings: which, and how.
        repeats: whether what users have had may be listed again; else own_history says nothing.

    Returns:
        those fitted in the order of the settings; one that the catalogue is too large for is in
        `skipped` with the reason.
    """
    fitted: dict[str, Baseline] = {}
    skipped: dict[str, str] = {}
    for name in settings.names:
        if name == "own_history" and not repeats:
            continue
        try:
            fitted[name] = fit(name, histories, n_items, at_seconds, settings)
        except ResourceFault as fault:
            skipped[name] = f"{fault.what} (here {n_items:,})"
    return FittedBaselines(fitted, skipped)


def fit(
    name: BaselineName,
    histories: Sequences,
    n_items: int,
    at_seconds: int,
    settings: BaselineSettings,
) -> Baseline:
    """Fits one baseline; see `fit_baselines`.

    Raises:
        ResourceFault: the catalogue is too large for it.
    """
    s = settings
    match name:
        case "popular":
            return fit_popular(histories, n_items)
        case "recent_popular":
            return fit_recent_popular(histories, n_items, at_seconds, s.half_life_days)
        case "own_history":
            return fit_own_history(histories, n_items)
        case "markov":
            return fit_markov(histories, n_items, s.markov_last, s.markov_decay, s.markov_reach)
        case "item_knn" | "item_knn_recent":
            last, decay = _looked_at(name == "item_knn_recent", s.knn_last, s.knn_decay)
            return fit_item_knn(histories, n_items, s.knn_neighbours, s.knn_shrinkage, last, decay)
        case "ease" | "ease_recent":
            last, decay = _looked_at(name == "ease_recent", s.ease_last, s.ease_decay)
            return fit_ease(
                histories, n_items, s.ease_regularisation, s.ease_item_limit, last, decay
            )


def _looked_at(latest: bool, last: int, decay: float) -> tuple[int, float]:
    """How many events of a history speak, and how fast they fade."""
    return (last, decay) if latest else (WHOLE_HISTORY, 1.0)


def recommend(
    baseline: Baseline,
    histories: Sequences,
    seen: RowSets | None,
    eligible: Mask,
    k: int,
    engine: EngineSettings = HERE,
) -> Rows:
    """Lists for all users of `histories`, in blocks of about 32 MB of scores.

    Args:
        baseline: fitted.
        histories: what is known of each user at the moment of the lists.
        seen: items to leave out per user, or None where repeats count.
        eligible: bool `[N]`, items that may be listed.
        k: places per list.
        engine: where the blocks are worked on.

    Returns:
        int64 `[U, k]`, -1 after the last item.
    """
    if isinstance(baseline, Popular):  # everybody's list is of the same few items
        most = 0 if seen is None else int(seen.sizes().max(initial=0))
        few = baseline.best(eligible, k + most)
        lists = _in_blocks(
            Popular(baseline.strength[few]), histories, seen and _among(seen, few),
            np.ones(len(few), np.bool_), k, engine,
        )  # fmt: skip
        return np.where(lists >= 0, np.append(few, -1)[lists], -1)
    return _in_blocks(baseline, histories, seen, eligible, k, engine)


def _in_blocks(
    baseline: Baseline, histories: Sequences, seen: RowSets | None, eligible: Mask, k: int,
    engine: EngineSettings,
) -> Rows:  # fmt: skip
    users = len(histories.offsets) - 1
    step = max(1, CELLS_PER_BLOCK // max(1, len(eligible)))

    def of_block(start: int) -> Rows:
        stop = min(start + step, users)
        block = seen.block(start, stop) if seen is not None else None
        return rank(baseline.scores(histories, start, stop), block, eligible, k)

    nobody = np.full((0, k), -1, dtype=np.int64)
    return np.concatenate([nobody, *map_buckets(of_block, range(0, users, step), engine)])


def _among(seen: RowSets, few: Rows) -> RowSets:
    """What of `seen` is among `few` ascending rows, by the places there."""
    kept = seen.among(few)
    return RowSets(kept.offsets, np.searchsorted(few, kept.rows))
