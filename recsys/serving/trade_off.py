"""Which settings of the lists to try beside each other: accuracy against coverage and novelty.

Every variant is the lists as they are set with one thing changed, so that the difference is what
that one thing does: a rule of `diversity` at several strengths or, where it is on, off; the weight
of popularity; and similarity alone. Called by the evaluate pipeline, which judges them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from recsys.serving.moment import Shop
from recsys.serving.recommend import Recommender
from recsys.serving.reranking import Reranker

AS_SET, ALONE, POPULARITY = "as set", "similarity alone", "popularity"
BY_CATEGORY, BY_PRICE = ("category_cap", "calibration"), ("price_band",)
STRENGTHS: dict[str, tuple[float, ...]] = {
    "mmr": (0.1, 0.2, 0.3, 0.5, 0.7),
    "category_cap": (5, 3, 2, 1),
    "calibration": (0.1, 0.3, 0.5, 0.8),
    "price_band": (0.25, 0.5, 1.0, 2.0),
}
FACTORS = (0.0, 0.5, 2.0, 4.0)


@dataclass(frozen=True)
class Variant:
    """One setting to try.

    Attributes:
        rule: what is changed; empty for the lists as set.
        value: its strength; of popularity the factor of its fitted weights.
        recommender: that makes such lists.
    """

    rule: str
    value: float
    recommender: Recommender

    @property
    def name(self) -> str:
        """As in the table: `mmr 0.3`, `without mmr`, `popularity x2`."""
        if not self.rule or self.rule == ALONE:
            return self.rule or AS_SET
        if self.rule == POPULARITY and self.value:
            return f"{self.rule} x{self.value:g}"
        return f"{self.rule} {self.value:g}" if self.value else f"without {self.rule}"


def variants(recommender: Recommender) -> list[Variant]:
    """The lists as set, then all that can be tried; rules that the shop knows too little for not.

    Args:
        recommender: with the settings that differences are taken to.
    """
    found = [Variant("", 0.0, recommender)]
    for rule in rules(recommender.shop):
        now = float(getattr(recommender.settings.diversity, rule))
        found += [_ruled(recommender, rule, s) for s in (0.0, *STRENGTHS[rule]) if s != now]
    weights = recommender.reranker
    of_trends = [name.startswith(POPULARITY) for name in weights.names]
    if any(of_trends) and any(np.asarray(weights.weights)[of_trends]):
        found += [_scaled(recommender, POPULARITY, f, of_trends) for f in FACTORS]
    others = [name != "similarity" for name in weights.names]
    return [*found, _scaled(recommender, ALONE, 0.0, others)] if any(others) else found


def as_set(recommender: Recommender) -> dict[str, float]:
    """The strength of everything that is varied, as it is set; the fitted popularity is 1."""
    known = recommender.settings.diversity
    return {rule: float(getattr(known, rule)) for rule in STRENGTHS} | {POPULARITY: 1.0}


def rules(shop: Shop) -> tuple[str, ...]:
    """The rules of `diversity` for which the shop knows enough of its items."""
    without: tuple[str, ...] = ()
    if shop.categories is None or not shop.categories.names:
        without += BY_CATEGORY
    if shop.prices is None or not (shop.prices > 0).any():
        without += BY_PRICE
    return tuple(rule for rule in STRENGTHS if rule not in without)


def _ruled(recommender: Recommender, rule: str, value: float) -> Variant:
    settings = recommender.settings
    changed = type(settings.diversity).model_validate(
        settings.diversity.model_dump() | {rule: int(value) if rule == "category_cap" else value}
    )
    settings = settings.model_copy(update={"diversity": changed})
    return Variant(rule, value, replace(recommender, settings=settings))


def _scaled(recommender: Recommender, rule: str, factor: float, which: Sequence[bool]) -> Variant:
    now = recommender.reranker
    weights = tuple(
        weight * factor if scaled else weight
        for weight, scaled in zip(now.weights, which, strict=True)
    )
    reranker = Reranker(now.names, weights, now.settings)
    return Variant(rule, factor, replace(recommender, reranker=reranker))
