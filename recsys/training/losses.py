"""The one loss: a softmax over a set of candidates, whatever the set.

A visible chain: score -> temperature -> logQ -> mask -> cross-entropy. In-batch, in-batch plus
uniform negatives and the full catalogue differ only in the candidates and their logQ. Called by the
trainer.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

BLOCK_SCORES = 1 << 20  # scores held at a time: 4 MB, which stays in a core's cache


def corrected(scores: Tensor, temperature: Tensor, log_q: Tensor | None) -> Tensor:
    """Logits `[P, C]` of raw `scores`: divided by the temperature, less each candidate's logQ.

    logQ is the log of the probability that a candidate is in the set at all; subtracting it makes
    the sum over the set an unbiased one over the catalogue (Bengio and Senecal, 2008; Yi et al.,
    2019). Halving q adds log 2.
    """
    logits = scores.float() / temperature
    return logits if log_q is None else logits - log_q


def masked(logits: Tensor, target_index: Tensor, mask: Tensor | None) -> Tensor:
    """`logits [P, C]` with minus infinity where `mask [P, C]`, except at each row's target."""
    if mask is None:
        return logits
    hidden = mask.scatter(1, target_index.unsqueeze(1), False)
    return logits.masked_fill(hidden, -torch.inf)


def softmax(
    states: Tensor,
    candidates: Tensor,
    target_index: Tensor,
    temperature: Tensor,
    log_q: Tensor | None = None,
    mask: Tensor | None = None,
    weights: Tensor | None = None,
    mask_rows: Tensor | None = None,
) -> Tensor:
    """The weighted mean cross-entropy of each state's target among the candidates.

    Computed in blocks of positions together with its gradient: scores `[P, C]` never exist at once.

    Args:
        states: `[P, D]` user states, only those that have a target.
        candidates: `[C, D]` item vectors, each item once.
        target_index: `[P]` int64, the candidate that came next.
        temperature: scalar that scores are divided by.
        log_q: `[C]` log probability of being in the candidate set; None where all items are.
        mask: `[P, C]` bool, true where a candidate does not count for that state; a target does.
        weights: `[P]`, not negative; None for all one.
        mask_rows: `[P]` int64, each state's row of `mask`, where states share rows.

    Returns:
        A scalar: sum of weight * (logsumexp(logits) - logit of the target) / sum of weights.

    Raises:
        ValueError: shapes do not fit.
    """
    count, width = states.shape
    if candidates.shape[1] != width or target_index.shape != (count,):
        raise ValueError("states [P, D], candidates [C, D] and target_index [P] do not fit")
    groups = len(mask) if mask is not None and mask_rows is not None else count
    if mask is not None and mask.shape != (groups, len(candidates)):
        raise ValueError("mask must be [P, C], or [G, C] with mask_rows [P]")
    if weights is None:
        weights = states.new_ones(count, dtype=torch.float32)
    share = (weights / weights.sum().clamp(min=1e-30)).float()
    targets = _Targets(target_index, share, log_q, mask, mask_rows)
    loss: Tensor = _Softmax.apply(states, candidates, temperature, targets)  # type: ignore[no-untyped-call]
    return loss


class _Targets(NamedTuple):
    """What the loss reads and has no gradient for; see `softmax`."""

    place: Tensor
    share: Tensor
    log_q: Tensor | None
    mask: Tensor | None
    mask_rows: Tensor | None

    def logits(self, block: slice, scores: Tensor, temperature: Tensor) -> Tensor:
        hidden = self.mask
        if hidden is not None:
            hidden = hidden[block] if self.mask_rows is None else hidden[self.mask_rows[block]]
        return masked(corrected(scores, temperature, self.log_q), self.place[block], hidden)


class _Softmax(torch.autograd.Function):
    """Loss and gradient of each block in one pass; backward only scales what forward found."""

    @staticmethod
    def forward(
        ctx: Any, states: Tensor, candidates: Tensor, temperature: Tensor, targets: _Targets
    ) -> Tensor:
        loss = torch.zeros((), device=states.device)
        grad_states = torch.empty_like(states)
        grad_candidates = torch.zeros_like(candidates)
        step = max(1, BLOCK_SCORES // max(1, len(candidates)))
        for start in range(0, len(states), step):
            block = slice(start, start + step)
            logits = targets.logits(block, states[block] @ candidates.T, temperature)
            place = targets.place[block].unsqueeze(1)
            total = logits.logsumexp(dim=1, keepdim=True)
            loss += (total - logits.gather(1, place)).squeeze(1) @ targets.share[block]
            # d loss / d logits = share * (softmax - one at the target)
            slope = logits.sub_(total).exp_()
            slope.scatter_add_(1, place, slope.new_full(place.shape, -1.0))
            slope *= targets.share[block].unsqueeze(1) / temperature
            torch.mm(slope, candidates, out=grad_states[block])
            grad_candidates.addmm_(slope.T, states[block])
        # temperature t divides all scores s = u . v: d loss / dt = - sum(d loss / du * u) / t
        grad_temperature = -(grad_states * states).sum() / temperature
        ctx.save_for_backward(grad_states, grad_candidates, grad_temperature)
        return loss

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        by_states, by_candidates, by_temperature = ctx.saved_tensors
        return by_states * grads[0], by_candidates * grads[0], by_temperature * grads[0], None
