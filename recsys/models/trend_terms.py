"""What speaks for an item on a day whoever asks: popularity and freshness, with learned weights.

    score(user, item, day) = user . item / temperature + weights . terms(item, day)

What comes next within a session follows other weights than what comes on another day: there are two
sets, and lists that are made ahead use the second.

With it in the training softmax, vectors need not explain what everybody looked at that week. The
terms do not depend on the user: at night they are one number an item, which the index takes in.
"""

import torch
from pydantic import Field
from torch import Tensor, nn

from recsys.settings import Section

SCALE = 10.0  # weights are about this much larger than others; AdamW's steps are of one size


class TrendSettings(Section):
    """Which terms speak for an item."""

    half_lives_days: tuple[float, ...] = Field(
        default=(1.0, 7.0, 30.0, 180.0),
        description="half-lives of the decayed popularity terms, days; none for no popularity",
    )
    smoothing: float = Field(
        default=1.0,
        gt=0,
        description="events added to every decayed count, and to what the longer half-lives let "
        "expect of it: the more, the less a few events say",
    )
    freshness_days: tuple[float, ...] = Field(
        default=(3.0, 30.0),
        description="item ages at which the freshness terms have fallen to 1/e, days; none for no "
        "freshness. They need created_at",
    )


class TrendTerms(nn.Module):
    """Terms of the settings and their K weights, within a session and ahead; all begin at zero."""

    def __init__(self, settings: TrendSettings) -> None:
        super().__init__()
        self.settings = settings
        popularity = [f"popularity_{days:g}d" for days in settings.half_lives_days]
        freshness = [f"freshness_{days:g}d" for days in settings.freshness_days]
        self.names = (*popularity, *freshness)
        self.small = nn.Parameter(torch.zeros(2, len(self.names)))

    @property
    def weights(self) -> Tensor:
        """`[2, K]` weights of the terms: within a session, and ahead."""
        return self.small * SCALE

    def terms(self, popularity: Tensor, ages: Tensor) -> Tensor:
        """`[..., K]` unweighted terms.

        Args:
            popularity: `[..., H]` above 0: smoothed decayed events of the longest half-life; of a
                shorter one, how many times what the longer ones let expect.
            ages: `[...]` days since items appeared; NaN where unknown.
        """
        scales = ages.new_tensor(self.settings.freshness_days)
        known = ages.nan_to_num(nan=torch.inf).clamp(min=0).unsqueeze(-1)
        return torch.cat([popularity.log(), torch.exp(-known / scales)], dim=-1)

    def forward(self, popularity: Tensor, ages: Tensor) -> Tensor:
        """`[2, ...]` what is added to a score; minus infinity where an item is not there yet."""
        terms = self.terms(popularity, ages)
        both = torch.stack([terms @ weights for weights in self.weights])
        return both.masked_fill(ages < 0, -torch.inf)
