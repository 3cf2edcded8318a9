"""A list's score is a sum of log terms; their weights are fitted on the validation window.

The terms are those of the trained model; on the window they are weighed anew for what users do
after the lists are made.

    score = w_s * similarity / temperature + sum over half-lives of w_h * log popularity_h
            + sum over ages of w_f * freshness_f

and, where lists may repeat, what `own_history` says of the user's own past.

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
from recsys.errors import InputFault, MismatchFault
from recsys.evaluation.lists import RowSets
from recsys.evaluation.metrics import match
from recsys.serving import weight_search
from recsys.serving.candidates import Candidates
from recsys.serving.weight_search import Choices
from recsys.settings import Section

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
FILE = "reranker.json"


class RerankSettings(Section):
    """How the terms of a list's score are weighed; `model.trends` says which there are."""

    prior: float = Field(
        1.0,
        ge=0,
        description="pull of the fitted weights towards those of training (L2), in users: the more "
        "users the window holds, the less it counts",
    )
    enabled: bool = Field(True, description="false lists as the model scores")
    users: int = Field(
        20_000,
        ge=100,
        description="of the validation window that the weights are fitted on, drawn where there "
        "are more; memory and time grow with it",
    )
    places: int = Field(
        10,
        ge=0,
        description="first places whose recall and nDCG the weights then climb, as far as held-out "
        "users confirm it; 0: the likelihood's weights",
    )


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
    """What the terms know of the items at one moment.

    Attributes:
        names: of the K terms; the similarity is none of them.
        values: `[N, K]`, unweighted.
        learned: `[K]` weights that training gave them.
    """

    names: tuple[str, ...]
    values: Floats
    learned: tuple[float, ...]

    def offsets(self) -> Floats:
        """`[N]` what the trained model adds to an item's similarity over the temperature."""
        total: Floats = self.values @ np.asarray(self.learned, np.float64)
        return total


def as_trained(terms: ItemTerms, settings: RerankSettings, own: tuple[str, ...] = ()) -> Reranker:
    """The weights that training gave: lists as the model scores; 0 for `own`, users' terms."""
    weights = (1.0, *terms.learned, *(0.0 for _ in own))
    return Reranker(("similarity", *terms.names, *own), weights, settings)


def fit(
    candidates: Candidates, temperature: float, terms: ItemTerms, relevant: RowSets,
    settings: RerankSettings,
) -> Reranker:  # fmt: skip
    """Weights by what users chose among their candidates: the likeliest, moved to list better.

    Users without a relevant candidate say nothing.

    Raises:
        InputFault: the weights are not finite.
    """
    trained = as_trained(terms, settings, candidates.own.names if candidates.own else ())
    found = match(candidates.rows, relevant)
    usable = np.flatnonzero(found.hits.any(axis=1))
    if not settings.enabled or not len(usable) or len(trained.names) == 1:
        return trained
    some = candidates.of(usable)
    values = _values(some, temperature, terms)
    choices = Choices(values, some.rows < 0, found.hits[usable], found.totals[usable])
    weights = most_likely(choices, np.array(trained.weights), settings.prior)
    if not np.isfinite(weights).all():
        raise InputFault(
            "the reranker's weights are not finite", value=weights.tolist(),
            where="the validation window", fix="raise rerank.prior, or set rerank.enabled=false",
        )  # fmt: skip
    places = min(settings.places, values.shape[1])
    if places:
        weights = weight_search.refined(choices, weights, places)
    return Reranker(trained.names, tuple(weights.tolist()), settings)


def most_likely(choices: Choices, start: Floats, prior: float) -> Floats:
    """`[T]` weights of a conditional logit (McFadden, 1974).

    Maximises the sum over users of the mean log probability of what they took, less `prior` times
    the squared distance to `start [T]`: a normal prior, which a few users cannot outweigh.
    """
    inputs, absent = torch.from_numpy(choices.values), torch.from_numpy(choices.absent)
    taken = torch.from_numpy(choices.taken).double()
    share = taken / taken.sum(dim=1, keepdim=True)
    origin = torch.from_numpy(start)
    weights = origin.clone().requires_grad_(True)
    optimizer = torch.optim.LBFGS(
        [weights], max_iter=200, tolerance_grad=1e-9, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        logits = (inputs @ weights).masked_fill(absent, -torch.inf)
        surprise = logits.logsumexp(dim=1) - (share * logits.masked_fill(absent, 0.0)).sum(dim=1)
        total = surprise.mean() + prior / len(taken) * ((weights - origin) ** 2).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    fitted: Floats = weights.detach().numpy()
    return fitted


def rerank(
    candidates: Candidates, temperature: float, terms: ItemTerms, reranker: Reranker, k: int
) -> Ranked:
    """The k best candidates of each user by score; equal scores in row order.

    Raises:
        MismatchFault: the terms are not those that the weights were fitted to.
    """
    known = ("similarity", *terms.names, *(candidates.own.names if candidates.own else ()))
    if known != reranker.names:
        raise MismatchFault(
            "the reranker was fitted with other terms",
            value=f"{reranker.names} and {known}", where="rerank",
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
    """`[U, N, T]` unweighted terms: similarity, items', users'; zeros where is no candidate."""
    rows, there = candidates.rows, candidates.rows >= 0
    own = candidates.own.values if candidates.own else np.zeros((*rows.shape, 0))
    values = np.empty((*rows.shape, 1 + len(terms.names) + own.shape[-1]))
    similarity = candidates.similarities.astype(np.float64) / temperature
    values[..., 0] = np.where(there, similarity - terms.offsets()[rows], 0.0)
    for place, column in enumerate(terms.values.T, start=1):  # all at once would be a second copy
        values[..., place] = np.where(there, column[rows], 0.0)
    values[..., values.shape[-1] - own.shape[-1] :] = own
    return values
