"""What a user tower reads of each event: what, which kind, when, where in the history.

Called by `user_tower`.
"""

import torch
from torch import Tensor, nn

from recsys.models.attention import TIME_BUCKETS, time_bucket
from recsys.models.dropout import Dropout

FIRST = TIME_BUCKETS  # the gap bucket of a history's first event
OCTAVES, STEPS = 8, 8  # weights are told apart from 2^-8 to 2^8, in 8 steps an octave


class EventInputs(nn.Module):
    """What happened when: item vector + event type + time since the event before + position.

    Args:
        event_codes: number of event codes, the 0 of padding included.
        width: D.
        max_length: positions that are told apart.
        dropout: on the sum.
        request_time: adds the time until the request.
        event_weights: adds the event's weight.
    """

    def __init__(
        self,
        event_codes: int,
        width: int,
        max_length: int,
        dropout: float,
        *,
        request_time: bool,
        event_weights: bool,
    ) -> None:
        super().__init__()
        self.event = nn.Embedding(event_codes, width)
        self.gap = nn.Embedding(TIME_BUCKETS + 1, width)
        self.position = nn.Parameter(torch.randn(max_length, width) * 0.02)
        nn.init.normal_(self.event.weight, std=0.02)
        nn.init.normal_(self.gap.weight, std=0.02)
        self.dropout = Dropout(dropout)
        self.scale = width**0.5
        if request_time:
            self.wait = nn.Embedding(TIME_BUCKETS, width)
            nn.init.normal_(self.wait.weight, std=0.02)
        if event_weights:
            self.weight = nn.Embedding(2 * OCTAVES * STEPS + 1, width)
            nn.init.normal_(self.weight.weight, std=0.02)

    def forward(
        self,
        items: Tensor,
        events: Tensor,
        ages: Tensor,
        asked: Tensor | None,
        weights: Tensor | None,
    ) -> Tensor:
        """`[B, L, D]`; positions past `max_length` share the last one's vector."""
        gaps = torch.full_like(ages, FIRST)
        gaps[:, 1:] = time_bucket(ages[:, :-1] - ages[:, 1:])
        length = items.shape[1]
        places = torch.arange(length, device=items.device).clamp(max=len(self.position) - 1)
        happened = self.event(events) + self.gap(gaps) + self.position[places]
        if asked is not None:
            happened = happened + self.wait(time_bucket(ages - asked))
        if weights is not None:
            happened = happened + self.weight(weight_bucket(weights))
        inputs: Tensor = self.dropout(items * self.scale + happened)
        return inputs


def weight_bucket(weights: Tensor) -> Tensor:
    """Logarithmic bucket of positive event weights, eight an octave; 1 is in the middle one.

    Half stars from .5 to 5 have a bucket each. Weights that are not positive share the lowest.
    """
    steps = STEPS * torch.log2(weights.float().clamp(min=2.0**-OCTAVES))
    return steps.round().long().clamp(max=STEPS * OCTAVES) + STEPS * OCTAVES
