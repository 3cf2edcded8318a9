"""The one loss: a softmax over a set of candidates, whatever the set.

A visible chain: score -> temperature -> logQ -> trends -> mask -> cross-entropy. In-batch, in-batch
plus uniform negatives and the full catalogue differ only in the candidates and their logQ. Called
by the trainer.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

BLOCK_SCORES = 1 << 19  # scores held at a time: 2 MB, near a core's cache


def corrected(states: Tensor, candidates: Tensor, log_q: Tensor | None) -> Tensor:
    """Logits `[P, C]`: scores `states . candidates`, less each logQ.

    logQ is the log of the probability that a candidate is in the set at all; subtracting it makes
    the sum over the set an unbiased one over the catalogue (Bengio and Senecal, 2008; Yi et al.,
    2019). Halving q adds log 2.
    """
    return states @ candidates.T if log_q is None else torch.addmm(-log_q, states, candidates.T)


def hide(logits: Tensor, targets: Tensor, places: Tensor | None) -> Tensor:
    """Puts minus infinity into `logits [P, C]` at `places [P, S]`, except at each row's target.

    Places below 0 are none.
    """
    if places is None:
        return logits
    targets = targets.unsqueeze(1)
    kept = logits.gather(1, targets)
    places = torch.where(places < 0, targets, places)
    return logits.scatter_(1, places, -torch.inf).scatter_(1, targets, kept)


def masked_places(mask: Tensor) -> Tensor:
    """`[G, S]` columns where `mask [G, C]` is true, -1 behind the last of a row.

    A history has far fewer items than there are candidates: this is what makes hiding cheap.
    """
    groups, columns = mask.nonzero(as_tuple=True)
    counts = mask.sum(dim=1)
    begins = counts.cumsum(0) - counts
    most = int(counts.max()) if len(counts) else 0
    places = torch.full((len(mask), most), -1, device=mask.device)
    places[groups, torch.arange(len(groups), device=mask.device) - begins[groups]] = columns
    return places


class Grouped(NamedTuple):
    """Rows of numbers that states share: `values [G, C]`, and each state's row of them `[P]`."""

    values: Tensor
    rows: Tensor

    def of(self, block: slice) -> Tensor:
        """`[p, C]` values of a block of states."""
        return self.values.index_select(0, self.rows[block])


def softmax(
    states: Tensor,
    candidates: Tensor,
    target_index: Tensor,
    log_q: Tensor | None = None,
    mask: Grouped | None = None,
    weights: Tensor | None = None,
    trends: Grouped | None = None,
) -> Tensor:
    """The weighted mean cross-entropy of each state's target among the candidates.

    Computed in blocks of positions together with its gradient: scores `[P, C]` never exist at once.

    Args:
        states: `[P, D]` user states over their temperature, one for each target.
        candidates: `[C, D]` item vectors, each item once.
        target_index: `[P]` int64, the candidate that came next.
        log_q: `[C]` log probability of being in the candidate set; None where all items are.
        mask: bool, true where a candidate does not count for that state; a target does.
        weights: `[P]`, not negative; None for all one.
        trends: what is added to the scores; minus infinity leaves a candidate out, which must not
            happen to a target.

    Returns:
        A scalar: sum of weight * (logsumexp(logits) - logit of the target) / sum of weights.

    Raises:
        ValueError: shapes do not fit.
    """
    count, width = states.shape
    if candidates.shape[1] != width or target_index.shape != (count,):
        raise ValueError("states [P, D], candidates [C, D] and target_index [P] do not fit")
    for name, shared in (("mask", mask), ("trends", trends)):
        if shared is not None and (
            shared.values.shape[1:] != candidates.shape[:1] or shared.rows.shape != (count,)
        ):
            raise ValueError(f"{name} must be [G, C] with rows [P]")
    if weights is None:
        weights = states.new_ones(count, dtype=torch.float32)
    share = (weights / weights.sum().clamp(min=1e-30)).to(states.dtype)
    rows = None if trends is None else trends.rows
    if mask is not None:
        mask = Grouped(masked_places(mask.values), mask.rows)
    targets = _Targets(target_index, share, log_q, mask, rows)
    values = None if trends is None else trends.values
    loss: Tensor = _Softmax.apply(states, candidates, values, targets)  # type: ignore[no-untyped-call]
    return loss


class _Targets(NamedTuple):
    """What the loss reads and has no gradient for; see `softmax`; `mask` has places `[G, S]`."""

    place: Tensor
    share: Tensor
    log_q: Tensor | None
    mask: Grouped | None
    trend_rows: Tensor | None


class _Softmax(torch.autograd.Function):
    """Loss and gradient of each block in one pass; backward only scales what forward found."""

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        candidates: Tensor,
        trends: Tensor | None,
        targets: _Targets,
    ) -> Tensor:
        loss = states.new_zeros(())
        grad_states = torch.empty_like(states)
        grad_candidates = torch.zeros_like(candidates)
        grad_trends = None if trends is None else torch.zeros_like(trends)
        step = max(1, BLOCK_SCORES // max(1, len(candidates)))
        for start in range(0, len(states), step):
            block = slice(start, start + step)
            place = targets.place[block]
            logits = corrected(states[block], candidates, targets.log_q)
            if trends is not None and targets.trend_rows is not None:
                logits += trends.index_select(0, targets.trend_rows[block])
            logits = hide(logits, place, None if targets.mask is None else targets.mask.of(block))
            loss += _cross_entropy(logits, place, targets.share[block])
            slope = logits  # which now holds the gradient by each logit
            torch.mm(slope, candidates, out=grad_states[block])
            grad_candidates.addmm_(slope.T, states[block])
            if grad_trends is not None and targets.trend_rows is not None:
                grad_trends.index_add_(0, targets.trend_rows[block], slope)
        ctx.save_for_backward(grad_states, grad_candidates, grad_trends)
        return loss

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        by_states, by_candidates, by_trends = ctx.saved_tensors
        return (
            by_states * grads[0],
            by_candidates * grads[0],
            None if by_trends is None else by_trends * grads[0],
            None,
        )


def _cross_entropy(logits: Tensor, place: Tensor, share: Tensor) -> Tensor:
    """Sum of share * (log sum exp(logits) - logit of the target); the gradient takes their place.

    The gradient is share * (softmax - one at the target).
    """
    wanted = logits.gather(1, place.unsqueeze(1)).squeeze(1)
    top = logits.amax(dim=1)
    slope = torch.softmax(logits, dim=1, out=logits)  # one pass; of the top it is exp(top) / total
    loss = (top - slope.amax(dim=1).log() - wanted) @ share
    slope *= share.unsqueeze(1)
    slope.scatter_add_(1, place.unsqueeze(1), -share.unsqueeze(1))
    return loss
