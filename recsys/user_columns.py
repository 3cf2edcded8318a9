"""What a column of the users' table may say: the values that are told apart, or bands of numbers.

`data.people` learns them from a table; a model keeps those that it was trained with.
"""

from pydantic import Field

from recsys.settings import Section


class UserColumn(Section):
    """One column: a value's code is its place in `values`, a number's the band it falls into."""

    name: str = Field(description="of the column")
    values: tuple[str, ...] = Field(default=(), description="told apart, commonest first")
    edges: tuple[float, ...] = Field(
        default=(), description="of bands of numbers, rising; an edge belongs to the band above it"
    )

    @property
    def size(self) -> int:
        """How many codes there are."""
        return len(self.edges) + 1 if self.edges else len(self.values)
