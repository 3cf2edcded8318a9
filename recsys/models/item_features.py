"""What the item tower reads: one matrix a modality and a mask that says which item has what.

Pipelines build it from the embedding stores; training and nightly generation gather rows of it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

ID = "id"  # the modality behind all others


@dataclass(frozen=True)
class ItemFeatures:
    """Modality vectors of N items. The item's own id is the last modality of the mask.

    Attributes:
        names: content modalities in order, without the id.
        values: for each name `[N, D_m]` float32, or `[N, P, D_m]` where an item may have up to P
            vectors of it (pictures, clips), those it lacks being NaN; rows of absent items are
            never looked at. For names of `places`, any number of rows instead of N.
        present: `[N, M]` bool, M = len(names) + 1; the last column: the id is known to training.
        table_rows: `[N]` int64, each item's row in the model's id table; -1 where the id is
            unknown. Left out, an item's row here is its row in the table.
        places: for some names `[N]` int64, the row of each item in `values`, any number where it is
            absent: items may share a row, and who has nothing of a modality takes no memory.
    """

    names: tuple[str, ...]
    values: dict[str, Tensor]
    present: Tensor
    table_rows: Tensor | None = None
    places: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = self.present.shape[0]
        if self.present.dtype != torch.bool or self.present.shape != (count, len(self.names) + 1):
            raise ValueError(f"present must be bool [N, {len(self.names) + 1}]")
        if tuple(self.values) != self.names:
            raise ValueError("values must hold exactly the modalities of names, in their order")
        for name, value in self.values.items():
            if value.dim() not in (2, 3) or len(self.places.get(name, value)) != count:
                raise ValueError(
                    f"values[{name!r}] must be [{count}, D] or [{count}, P, D], "
                    f"is {list(value.shape)}"
                )
        if self.table_rows is not None and self.table_rows.shape != (count,):
            raise ValueError(f"table_rows must be [{count}]")

    def __len__(self) -> int:
        return self.present.shape[0]

    @property
    def widths(self) -> dict[str, int]:
        """D_m of each content modality."""
        return {name: value.shape[-1] for name, value in self.values.items()}

    def each(self, name: str, rows: Tensor | None = None) -> Tensor:
        """`[n, D_m]` or `[n, P, D_m]`: a modality by item, of `rows` `[n]` or of all."""
        value, places = self.values[name], self.places.get(name)
        if places is None:
            return value if rows is None else value[rows]
        mine = places if rows is None else places[rows]
        if not len(value):
            return value.new_zeros(len(mine), *value.shape[1:])
        return value[mine.clamp(0, len(value) - 1)]

    def mean(self, name: str, rows: Tensor | None = None) -> Tensor:
        """`[n, D_m]`, as `each`: where items have several vectors of a modality, their mean."""
        value = self.each(name, rows)
        return value if value.dim() == 2 else value.nanmean(dim=1)

    def id_rows(self) -> Tensor:
        """`[N]` rows of the id table, -1 where the id is absent."""
        known = self.present[:, -1]
        rows = self.table_rows
        if rows is None:
            rows = torch.arange(len(self), device=self.present.device)
        return torch.where(known, rows, -1)

    def only(self, names: Collection[str]) -> "ItemFeatures":
        """The same items, of which only the modalities `names` show; `ID` is one of them."""
        keep = [name in names for name in (*self.names, ID)]
        shows = torch.tensor(keep, device=self.present.device)
        return replace(self, present=self.present & shows)

    def gather(self, rows: Tensor) -> "ItemFeatures":
        """The items of `rows` `[n]` int64, in that order."""
        rows = rows.to(self.present.device)
        return ItemFeatures(
            self.names,
            {name: self.each(name, rows) for name in self.names},
            self.present[rows],
            self.id_rows()[rows] if self.table_rows is None else self.table_rows[rows],
        )

    def to(self, device: torch.device | str) -> "ItemFeatures":
        """The same items on another device."""
        return ItemFeatures(
            self.names,
            {name: value.to(device) for name, value in self.values.items()},
            self.present.to(device),
            None if self.table_rows is None else self.table_rows.to(device),
            {name: places.to(device) for name, places in self.places.items()},
        )
