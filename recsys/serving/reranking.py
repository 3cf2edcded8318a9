"""A list's score is a sum of log terms; their weights are fitted on the validation window.

    score = w_s * similarity / temperature + sum over half-lives of w_h * log popularity_h
            + w_f * freshness

Every weighted term is a column of the published list, so that a row says why it stands there.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from recsys import durable
from recsys.data import popularity
from recsys.errors import InputFault, MismatchFault
from recsys.evaluation.lists import RowSets
from recsys.serving.candidates import Candidates
from recsys.settings import Section

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
DAY_SECONDS = 86_400.0
FILE = "reranker.json"


class RerankSettings(Section):
    """Which terms a list's score has."""

    half_lives_days: tuple[float, ...] = Field(
        (1.0, 7.0, 30.0, 180.0),
        description="half-lives of the decayed popularity terms, days; none for no popularity",
    )
    smoothing: float = Field(
        0.5, gt=0, description="events added to every decayed count before its logarithm"
    )
    freshness_days: float = Field(
        3.0, gt=0, description="item age at which the freshness term has fallen to 1/e, days"
    )
    freshness: bool = Field(True, description="whether there is a freshness term")
    prior: float = Field(
        1e-3, ge=0, description="pull of the fitted weights towards similarity alone (L2)"
    )
    enabled: bool = Field(True, description="false lists by similarity alone")


@dataclass(frozen=True)
class Reranker:
    """Fitted weights by term, in the order of the terms."""

    names: tuple[str, ...]
    weights: tuple[float, ...]
    settings: RerankSettings


@dataclass(frozen=True)
class Ranked:
    """Lists with reasons.

    Attributes:
        rows: `[U, K]` item rows, -1 behind the last.
        scores: `[U, K]`, the sum of the terms; -inf behind the last.
        terms: `[U, K, T]` weighted terms.
    """

    rows: Rows
    scores: Floats
    terms: Floats


@dataclass(frozen=True)
class ItemTerms:
    """What the terms know of the items at one moment: `[N, T - 1]`, all but the similarity."""

    names: tuple[str, ...]
    values: Floats


def item_terms(
    items: Rows, times: Rows, created_seconds: Floats, at_seconds: float, settings: RerankSettings
) -> ItemTerms:
    """Popularity and freshness of every item at a moment.

    Args:
        items: `[E]` item rows of all events.
        times: `[E]` epoch seconds; later ones than `at_seconds` count nothing.
        created_seconds: `[N]` when items appeared, NaN where unknown.
        at_seconds: the moment.
        settings: which terms.
    """
    if not settings.enabled:
        return ItemTerms((), np.zeros((len(created_seconds), 0)))
    names, columns = [], []
    for days in settings.half_lives_days:
        counts = popularity.decayed(items, times, len(created_seconds), at_seconds, days)
        names.append(f"popularity_{days:g}d")
        columns.append(np.log(counts + settings.smoothing))
    if settings.freshness:
        age_days = np.maximum(at_seconds - created_seconds, 0) / DAY_SECONDS
        names.append("freshness")
        columns.append(
            np.where(np.isnan(age_days), 0.0, np.exp(-age_days / settings.freshness_days))
        )
    shape = (len(created_seconds), 0)
    return ItemTerms(tuple(names), np.stack(columns, axis=1) if columns else np.zeros(shape))


def fit(
    candidates: Candidates, temperature: float, terms: ItemTerms, relevant: RowSets,
    settings: RerankSettings,
) -> Reranker:  # fmt: skip
    """Weights of a conditional logit (McFadden, 1974): what users chose among their candidates.

    Maximises the mean over users of the mean log probability of their relevant candidates, with a
    pull towards similarity alone; users without a relevant candidate say nothing.
    """
    names = ("similarity", *terms.names)
    values = _values(candidates, temperature, terms)
    chosen = torch.from_numpy(_relevant(candidates.rows, relevant))
    usable = chosen.any(dim=1)
    start = torch.zeros(len(names), dtype=torch.float64)
    start[0] = 1.0
    if not settings.enabled or not usable.any() or len(names) == 1:
        return Reranker(names, tuple(start.tolist()), settings)
    inputs = torch.from_numpy(values)[usable]
    chosen = chosen[usable].double()
    absent = torch.from_numpy(candidates.rows < 0)[usable]
    share = chosen / chosen.sum(dim=1, keepdim=True)
    weights = start.clone().requires_grad_(True)
    optimizer = torch.optim.LBFGS(
        [weights], max_iter=200, tolerance_grad=1e-9, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        logits = (inputs @ weights).masked_fill(absent, -torch.inf)
        surprise = logits.logsumexp(dim=1) - (share * logits.masked_fill(absent, 0.0)).sum(dim=1)
        total = surprise.mean() + settings.prior * ((weights - start) ** 2).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    fitted = weights.detach().tolist()
    if not np.isfinite(fitted).all():
        raise InputFault(
            "the reranker's weights are not finite", value=fitted, where="the validation window",
            fix="raise rerank.prior, or set rerank.enabled=false",
        )  # fmt: skip
    return Reranker(names, tuple(fitted), settings)


def rerank(
    candidates: Candidates, temperature: float, terms: ItemTerms, reranker: Reranker, k: int
) -> Ranked:
    """The k best candidates of each user by score; equal scores in row order.

    Raises:
        MismatchFault: the terms are not those that the weights were fitted to.
    """
    if ("similarity", *terms.names) != reranker.names:
        raise MismatchFault(
            "the reranker was fitted with other terms",
            value=f"{reranker.names} and {('similarity', *terms.names)}", where="rerank",
            fix="train again with these settings",
        )  # fmt: skip
    weighted = _values(candidates, temperature, terms) * np.asarray(reranker.weights)
    scores = np.where(candidates.rows >= 0, weighted.sum(axis=-1), -np.inf)
    if np.isnan(scores).any():
        raise InputFault("a score is not a number", where="rerank", fix="look at the item vectors")
    order = np.lexsort((candidates.rows, -scores), axis=1)[:, :k]
    rows = np.take_along_axis(candidates.rows, order, 1)
    kept = np.take_along_axis(weighted, order[..., None], 1)
    return Ranked(rows, np.take_along_axis(scores, order, 1), kept)


def write(reranker: Reranker, folder: Path) -> None:
    """Writes the weights into an existing folder."""
    terms = dict(zip(reranker.names, reranker.weights, strict=True))
    durable.write_json(
        folder / FILE,
        {"names": reranker.names, "weights": terms, "settings": reranker.settings.model_dump()},
    )


def read(folder: Path) -> Reranker:
    """Reads fitted weights; check the folder's manifest before.

    Raises:
        InputFault: the file is missing or damaged.
    """
    path = folder / FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        names = tuple(found["names"])
        weights = tuple(float(found["weights"][name]) for name in names)
        settings = RerankSettings.model_validate(found["settings"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputFault(
            f"the reranker cannot be read: {error}", where=str(path), fix="train again"
        ) from None
    return Reranker(names, weights, settings)


def _values(candidates: Candidates, temperature: float, terms: ItemTerms) -> Floats:
    """`[U, N, T]` unweighted terms; zeros where there is no candidate."""
    there = candidates.rows >= 0
    similarity = np.where(there, candidates.similarities, 0.0).astype(np.float64) / temperature
    others = np.where(there[..., None], terms.values[candidates.rows], 0.0)
    return np.concatenate([similarity[..., None], others], axis=-1)


def _relevant(rows: Rows, relevant: RowSets) -> npt.NDArray[np.bool_]:
    """`[U, N]`: which candidates the user chose."""
    span = int(max(rows.max(initial=0), relevant.rows.max(initial=0))) + 1
    owners = np.arange(len(rows), dtype=np.int64)[:, None] * span
    hit: npt.NDArray[np.bool_] = np.isin(owners + rows, relevant.users() * span + relevant.rows)
    return hit & (rows >= 0)
