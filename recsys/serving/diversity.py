"""Lists that trade a little accuracy for variety: a step between scoring and the cut to K.

Three rules, all off by default, choose a list's items greedily from a pool of the user's candidates
of best score. The next place goes to the item with the greatest

    (1 - mmr) * (1 - calibration) * relevance - mmr * likeness - calibration * divergence

among those that the category cap allows.

    relevance   the score, scaled so that the user's best has 1 and the last of the pool has 0: a
                setting means the same whatever the temperature and the terms of the scores
    likeness    the greatest cosine to an item above; 0 for the first place. Maximal marginal
                relevance (Carbonell & Goldstein, 1998), whose lambda is 1 - mmr
    divergence  Kullback-Leibler, of the categories listed so far, with the item, from those of the
                user's history (Steck, 2018, "Calibrated recommendations")

What the rules did is one more term of the published score, `diversity`, which is never above 0.
Scores must not rise along a list, so an item that stands below one of lesser score falls to it:

    score     = the least of the scores that the items up to this place had before
    diversity = score - the item's score before

A fourth rule, `price_band`, does not ask what stands above: it is a term of the score itself, and
`recommend` adds it before these choose. Called by `recommend`.
"""

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from recsys.errors import InputFault
from recsys.serving import price_band
from recsys.serving.categories import ItemCategories
from recsys.serving.reranking import Ranked
from recsys.settings import Section

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]
TERM = "diversity"
SMOOTHING = 0.01  # Steck (2018): keeps the divergence finite while a category is not yet listed
BLOCK = 256  # users at once: 100 vectors each of 128 numbers are 13 MB


class DiversitySettings(Section):
    """How a list is made more varied than its scores alone; all rules are off by default."""

    mmr: float = Field(
        0.0, ge=0, le=1,
        description="weight of being unlike the items above (maximal marginal relevance); 0 is off",
    )  # fmt: skip
    category_cap: int = Field(
        0, ge=0, description="items of one category in a list, as long as others are left; 0 is off"
    )
    calibration: float = Field(
        0.0, ge=0, le=1,
        description="weight of listing categories in the proportions of a user's history; 0 is off",
    )  # fmt: skip
    price_band: float = Field(
        0.0, ge=0,
        description="loss of score per factor of e in price outside the user's own; 0 is off",
    )  # fmt: skip
    price_quantiles: tuple[float, float] = Field(
        (0.1, 0.9), description="of the prices of a user's history, between which the band lies"
    )
    pool: int = Field(
        100, ge=1, description="best-scored candidates from which a varied list is chosen"
    )

    @field_validator("price_quantiles")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= value[0] <= value[1] <= 1:
            raise ValueError("quantiles must ascend between 0 and 1, as [0.1, 0.9]")
        return value

    @property
    def enabled(self) -> bool:
        """Whether any rule is on that chooses an item by what stands above it."""
        return bool(self.mmr or self.category_cap or self.calibration)

    @property
    def by_category(self) -> bool:
        """Whether a rule is on that asks for categories."""
        return bool(self.category_cap or self.calibration)

    @property
    def names(self) -> tuple[str, ...]:
        """The terms that the rules add to a score, in their order."""
        banded = (price_band.TERM,) if self.price_band else ()
        return (*banded, TERM) if self.enabled else banded


def diversify(
    ranked: Ranked, k: int, settings: DiversitySettings, vectors: Vectors,
    categories: ItemCategories | None, taste: Floats | None,
) -> Ranked:  # fmt: skip
    """The k first places of lists under the rules; what ties stands in the order of `ranked`.

    A list has k items whenever that many are ranked: where all that are left in the pool would
    exceed the cap, the cap gives way. With all rules off, `ranked` is only cut; else its terms get
    one more column, `diversity`.

    Args:
        ranked: `[U, P]` by score; places beyond k and the pool are not looked at.
        k: places per list.
        settings: the rules.
        vectors: `[N, D]` unit vectors of all items.
        categories: of all items; None only where no rule asks for them.
        taste: `[U, C]` from `tastes`; None is as all zeros: no history, nothing to be true to.

    Raises:
        InputFault: a rule asks for categories, and none are given.
    """
    if not settings.enabled:
        return Ranked(ranked.rows[:, :k], ranked.scores[:, :k], ranked.terms[:, :k])
    if settings.by_category and categories is None:
        raise InputFault(
            "a rule of variety asks for categories, but those of the items are not known",
            value=settings.model_dump(), where="lists.diversity",
            fix="give the shop its categories, or set category_cap=0 and calibration=0",
        )  # fmt: skip
    if not settings.by_category or categories is None:
        categories = ItemCategories(np.zeros(len(vectors) + 1, np.int64), np.zeros(0, np.int64), ())
    if taste is None or not settings.calibration:
        taste = np.zeros((len(ranked.rows), len(categories.names)))
    k, width = min(k, ranked.rows.shape[1]), max(k, settings.pool)
    order = np.full((len(ranked.rows), k), -1, np.int64)
    for start in range(0, len(order), BLOCK):
        part = slice(start, start + BLOCK)
        pool = Ranked(ranked.rows[part, :width], ranked.scores[part, :width], ranked.terms[part])
        order[part] = _order(pool, k, settings, vectors, categories, taste[part])
    return _explained(ranked, order)


def _order(
    pool: Ranked, k: int, settings: DiversitySettings, vectors: Vectors,
    categories: ItemCategories, taste: Floats,
) -> Rows:  # fmt: skip
    """`[U, k]` places in the pool of the items chosen, -1 where none is left."""
    users = np.arange(len(pool.rows))
    left = pool.rows >= 0
    mmr, calibration, cap = settings.mmr, settings.calibration, settings.category_cap
    relevance = (1 - mmr) * (1 - calibration) * _relevance(np.where(left, pool.scores, -np.inf))
    codes, shares = categories.of_rows(pool.rows)
    wanted = np.pad(taste, ((0, 0), (0, 1)))[users[:, None, None], codes]
    held = np.zeros((2, len(users), len(categories.names) + 1))  # items and their shares so far
    likeness = np.zeros(pool.rows.shape)
    order = np.full((len(users), k), -1, np.int64)
    for place in range(k):
        number, mix = held[:, users[:, None, None], codes]
        value = relevance - mmr * likeness
        if calibration:
            value = value + calibration * _agreement(mix, shares, wanted, place + 1)
        full = ((number >= cap) & (shares > 0)).any(axis=-1) & (cap > 0)
        free = left & ~full
        allowed = np.where(free.any(axis=1, keepdims=True), free, left)
        best = np.where(allowed, value, -np.inf).argmax(axis=1)
        found = left[users, best]
        order[:, place] = np.where(found, best, -1)
        left[users, best] = False
        share = shares[users, best] * found[:, None]
        added = np.stack([share > 0, share])  # nothing for C, the one code that may stand twice
        held[:, users[:, None], codes[users, best]] += added
        if mmr:
            near = _cosines(vectors, pool.rows, pool.rows[users, best])
            likeness = np.maximum(likeness, near) if place else near
    return order


def _relevance(scores: Floats) -> Floats:
    """`[U, P]` from 1 for the best of a user to 0 for the last; 0 where all score the same."""
    there = np.isfinite(scores)
    best = np.max(scores, axis=1, keepdims=True, where=there, initial=-np.inf)
    last = np.min(scores, axis=1, keepdims=True, where=there, initial=np.inf)
    varied = there & (best > last)
    above = np.where(varied, scores, 0.0) - np.where(varied, last, 0.0)
    scaled: Floats = above / np.where(best > last, best - last, 1.0)
    return scaled


def _cosines(vectors: Vectors, rows: Rows, chosen: Rows) -> Floats:
    """`[U, P]` cosines of each user's pool to the item chosen."""
    near: Floats = np.einsum("upd,ud->up", vectors[rows], vectors[chosen]).astype(np.float64)
    return near


def _agreement(mix: Floats, shares: Floats, wanted: Floats, size: int) -> Floats:
    """`[U, P]` how much less a list of `size` diverges from the taste with an item than without.

    The divergence is sum over g of p_g log(p_g / q_g), of the history's mix p from the list's mix q
    smoothed with p (Steck, 2018). An item moves the q of its own categories only; the rest is the
    same for all items that might be next, and so is left out.

    Args:
        mix: `[U, P, M]` sum of the shares so far of the items' categories.
        shares: `[U, P, M]` of the items.
        wanted: `[U, P, M]` p of the items' categories.
        size: of the list with the item.
    """
    without = (1 - SMOOTHING) * mix / size + SMOOTHING * wanted
    known = (wanted > 0) & (shares > 0)
    added = np.where(known, (1 - SMOOTHING) * shares / size, 0.0)
    gain = np.log1p(added / np.where(known, without, 1.0))
    total: Floats = (wanted * gain).sum(axis=-1)
    return total


def _explained(ranked: Ranked, order: Rows) -> Ranked:
    """The chosen items with the term that makes their scores fall with the rank."""
    at = np.maximum(order, 0)
    there = order >= 0
    rows = np.where(there, np.take_along_axis(ranked.rows, at, 1), -1)
    own = np.take_along_axis(ranked.terms, at[..., None], 1) * there[..., None]
    terms = np.concatenate([own, np.zeros((*order.shape, 1))], axis=-1)
    scores = np.where(there, terms.sum(axis=-1), -np.inf)
    for place in range(1, order.shape[1]):
        step = 1.0
        while len(rises := np.flatnonzero(scores[:, place] > scores[:, place - 1])):
            # once is enough but for rounding: the sum of the terms must not stand above by a bit
            lowered = scores[rises, place] - scores[rises, place - 1]
            term = terms[rises, place, -1]
            terms[rises, place, -1] = term - step * np.maximum(lowered, np.spacing(-term))
            scores[rises, place] = terms[rises, place].sum(axis=-1)
            step *= 2
    return Ranked(rows, scores, terms)
