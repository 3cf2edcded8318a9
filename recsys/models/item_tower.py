"""The item tower: a set of modality vectors with a presence mask to one vector.

The trainer runs it once per unique item of a batch, the pipelines over the whole catalogue. A text
query or a photo is an item with one modality present and goes through the same tower.
"""

from collections.abc import Iterable
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from recsys.models import fusion
from recsys.models.dropout import Dropout
from recsys.models.fusion import FusionSettings
from recsys.models.id_embedding import IdEmbedding
from recsys.models.item_features import ItemFeatures
from recsys.settings import Section

ROWS = 16_384  # items that are looked at together before training


class ItemTowerSettings(Section):
    """How item vectors are made."""

    fusion: FusionSettings = Field(
        default=FusionSettings(), description="how modalities are combined"
    )
    id_dropout: float = Field(
        default=0.2, ge=0, lt=1,
        description="share of a batch's items whose id is hidden: content learns to stand in",
    )  # fmt: skip
    handover: bool = Field(
        default=True,
        description="lists take an item for what its content says while its id has few events; how "
        "many are few is found on the validation window",
    )
    modality_dropout: float = Field(
        default=0.1, ge=0, lt=1, description="share of content modalities hidden while training"
    )
    dropout: float = Field(
        default=0.0, ge=0, lt=1, description="dropout on the projected content modalities"
    )
    pooling: Literal["mean", "attention"] = Field(
        default="mean",
        description="how several pictures or clips of one item become one: their mean, or "
        "weighed by attention, which learns what kind of picture says something",
    )


class Projection(nn.Module):
    """One content modality, standardised and projected: `[n, D_m]` to a token `[n, D]`.

    Mean and standard deviation are measured on the training catalogue and travel with the weights.
    Several vectors of an item are averaged before, or, where it `pools`, each becomes a token and
    a learned query weighs them (attention pooling, Ilse, Tomczak and Welling, 2018); at the start
    all weigh the same.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, inputs: int, width: int, dropout: float, pools: bool = False) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(width)) if pools else None
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("deviation", torch.ones(inputs))
        self.linear = nn.Linear(inputs, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)

    def standardise(self, blocks: Iterable[Tensor]) -> None:
        """Measures mean and deviation of all `[..., D_m]`; constant columns keep deviation 1.

        Moments of blocks are put together by Chan, Golub and LeVeque (1979).
        """
        count, mean, squares, largest = 0, *self.mean.new_zeros(3, len(self.mean)).double()
        for values in blocks:
            some = values[~values.isnan().any(dim=-1)] if values.dim() == 3 else values
            if not len(some):
                continue
            some = some.double()
            shift, total = some.mean(dim=0) - mean, count + len(some)
            squares = squares + some.var(dim=0, correction=0) * len(some)
            squares = squares + shift.square() * (count * len(some) / total)
            mean = mean + shift * (len(some) / total)
            largest = torch.maximum(largest, some.abs().amax(dim=0))
            count = total
        if count < 2:
            return
        deviation = (squares / count).sqrt()
        steady = deviation <= 1e-6 * largest.clamp(min=1e-12)
        self.mean.copy_(mean)
        self.deviation.copy_(deviation.masked_fill(steady, 1.0))

    def forward(self, values: Tensor, present: Tensor) -> Tensor:
        """`[n, D_m]`, or `[n, P, D_m]` where it pools, to `[n, D]`.

        What stands in rows that are not `present [n]` is never read.
        """
        if values.dim() == 2:
            return self.tokens(values, present)
        there = present.unsqueeze(1) & ~values.isnan().any(dim=-1)
        tokens = self.tokens(values, there)
        pooled: Tensor = (self._weights(tokens, there).unsqueeze(-1) * tokens).sum(dim=1)
        return pooled

    def _weights(self, tokens: Tensor, there: Tensor) -> Tensor:
        """How much each of an item's P vectors counts: `[n, P]`, summing to 1 over what is there.

        An item without any gets equal weights.
        """
        assert self.query is not None
        scores = (tokens @ self.query).float() * self.query.numel() ** -0.5
        hidden = ~there & there.any(dim=1, keepdim=True)
        weights: Tensor = scores.masked_fill(hidden, -torch.inf).softmax(dim=1)
        return weights

    def tokens(self, values: Tensor, there: Tensor) -> Tensor:
        """A token `[..., D]` for each vector of `values [..., D_m]` that is `there [...]`."""
        # where, not multiplication: 0 * NaN is NaN, forward and backward
        values = torch.where(there.unsqueeze(-1), values, self.mean)
        token: Tensor = self.dropout(self.norm(self.linear(self.standardised(values))))
        return token

    def standardised(self, values: Tensor) -> Tensor:
        """`values [..., D_m]` less the mean, over the deviation."""
        return (values - self.mean) / self.deviation


class ItemTower(nn.Module):
    """Tokens of the content modalities and the id, dropped at random while training, then fused.

    Args:
        settings: of the tower.
        widths: D_m of each content modality, in order.
        table_rows: ids known to training.
        width: D.
    """

    def __init__(
        self, settings: ItemTowerSettings, widths: dict[str, int], table_rows: int, width: int
    ) -> None:
        super().__init__()
        self.names = tuple(widths)
        modalities = len(widths) + 1
        self.id_embedding = IdEmbedding(table_rows, width)
        self.id_norm = nn.LayerNorm(width)
        self.projections = nn.ModuleList(
            Projection(inputs, width, settings.dropout, settings.pooling == "attention")
            for inputs in widths.values()
        )
        self.absent = nn.Parameter(torch.randn(modalities, width) * 0.02)
        self.fusion = fusion.build(settings.fusion, modalities, width)
        self._pools = settings.pooling == "attention"
        self._drop = [settings.modality_dropout] * len(widths) + [settings.id_dropout]

    @torch.no_grad()
    def standardise(self, features: ItemFeatures) -> None:
        """Measures mean and deviation of every modality over the items that have it."""
        for number, name in enumerate(self.names):
            projection = self.projections[number]
            assert isinstance(projection, Projection)
            has = features.present[:, number].nonzero().squeeze(1)
            projection.standardise(
                self._read(features, name, rows) for rows in torch.split(has, ROWS)
            )

    def forward(self, features: ItemFeatures) -> Tensor:
        """Vectors `[n, D]` of `features`, not normalised."""
        vectors: Tensor = self.fusion(*self._tokens(features))
        return vectors

    def views(self, features: ItemFeatures, keep: Tensor) -> Tensor:
        """Vectors `[V, n, D]` of n items as V masks `keep [V, n, M]` bool show them.

        Tokens are made once; nothing is dropped at random.
        """
        present = features.present & keep
        stacked = self._all_tokens(features)
        tokens = torch.where(present.unsqueeze(-1), stacked, self.absent.to(stacked.dtype))
        vectors: Tensor = self.fusion(tokens.flatten(0, 1), present.flatten(0, 1))
        return vectors.view(*keep.shape[:2], -1)

    def modality_weights(self, features: ItemFeatures) -> Tensor | None:
        """How much each modality counts in each item, `[n, M]`; None for fusions without weights.

        See `fusion.modality_weights`; the columns are those of `features.present`.
        """
        return fusion.modality_weights(self.fusion, *self._tokens(features))

    def _tokens(self, features: ItemFeatures) -> tuple[Tensor, Tensor]:
        """Tokens `[n, M, D]`, learned vectors where nothing is present, and presence `[n, M]`."""
        present = self._kept(features.present) if self.training else features.present
        stacked = self._all_tokens(features)
        return torch.where(present.unsqueeze(-1), stacked, self.absent.to(stacked.dtype)), present

    def _all_tokens(self, features: ItemFeatures) -> Tensor:
        """`[n, M, D]`; what stands for absent modalities means nothing."""
        tokens = [
            projection(self._read(features, name), features.present[:, number])
            for number, (name, projection) in enumerate(
                zip(self.names, self.projections, strict=True)
            )
        ]
        tokens.append(self.id_norm(self.id_embedding(features.id_rows())))
        return torch.stack(tokens, dim=1)

    def _read(self, features: ItemFeatures, name: str, rows: Tensor | None = None) -> Tensor:
        """The vectors of a modality as the projections take them, of `rows` `[n]` or of all."""
        return features.each(name, rows) if self._pools else features.mean(name, rows)

    def _kept(self, present: Tensor) -> Tensor:
        """`present` with modalities dropped at random; an item never loses all it has."""
        share = torch.tensor(self._drop, device=present.device)
        kept = present & (torch.rand(present.shape, device=present.device) >= share)
        return torch.where(kept.any(dim=1, keepdim=True), kept, present)
