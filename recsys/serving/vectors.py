"""Item and user vectors of a trained model, in blocks of bounded memory.

Called by validation, evaluation, the night and the explorer: the one place where towers are run to
make lists.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from recsys.data.histories import Histories
from recsys.data.people import People
from recsys.models.item_features import ItemFeatures
from recsys.models.precision import products_are_float32, quick_products
from recsys.models.two_tower import TwoTower

Rows = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]
ITEMS_PER_BLOCK = 4096
EVENTS_PER_BLOCK = 2048
USERS_PER_BLOCK = 64
SHORTEST = 8  # histories are padded to a power of two from here, or to the longest that is read,
LONG = 64  # and above this to the next quarter of the way to the next power


@torch.inference_mode()
@quick_products()
def of_items(model: TwoTower, features: ItemFeatures) -> Vectors:
    """Vectors `[N, D]` of all items of `features`, by a model in evaluation mode."""
    device = next(model.parameters()).device
    blocks = [
        model.items(features.gather(torch.arange(start, stop)).to(device)).cpu()
        for start, stop in _blocks(len(features), ITEMS_PER_BLOCK)
    ]
    width = model.settings.width
    return torch.cat(blocks).numpy() if blocks else np.zeros((0, width), np.float32)


@torch.inference_mode()
def of_users(
    model: TwoTower,
    items: Vectors,
    histories: Histories,
    at_seconds: float | Rows,
    people: People | None = None,
) -> Vectors:
    """Vectors `[U, D]` of all users: their last state; zeros for users without events.

    A user's vector never depends on who else is asked for, on a CPU to the last bit: blocks have
    shapes that the lengths of histories fix, and are filled up with users of their own. Several
    threads may ask at once: products are quick only where they stay float32.

    Args:
        model: in evaluation mode.
        items: `[N, D]` of `of_items`.
        histories: events before the moment; their items are rows of `items`.
        at_seconds: the moment that the lists are for, epoch seconds; or `[U]`, each user's own.
        people: their attributes, coded by the model's columns; None: nothing is known.
    """
    moments = np.broadcast_to(np.asarray(at_seconds, np.int64), len(histories.offsets) - 1)
    device = next(model.parameters()).device
    table = torch.from_numpy(items).to(device)
    longest = model.settings.users.max_length
    lengths = np.minimum(np.diff(histories.offsets), longest)
    told = None if people is None else people.of(histories.user_ids)
    result = np.zeros((len(lengths), items.shape[1]), np.float32)
    padded = _padded(lengths, longest)
    for width in np.unique(padded[lengths > 0]):
        members = np.flatnonzero((padded == width) & (lengths > 0))
        size = int(np.clip(EVENTS_PER_BLOCK // width, 1, USERS_PER_BLOCK))
        for start in range(0, len(members), size):
            users = members[start : start + size]
            full = np.resize(users, size)
            known = None if told is None else torch.from_numpy(told[full]).to(device)
            with quick_products(products_are_float32()):
                state = _last_states(
                    model, table, histories, full, lengths[full], moments[full], width, known
                )
            result[users] = state[: len(users)]
    return result


def _padded(lengths: Rows, longest: int) -> Rows:
    """Lengths rounded up, so that there are few of them: fewer steps where a step costs little."""
    power = 2 ** np.ceil(np.log2(np.maximum(lengths, SHORTEST))).astype(np.int64)
    step = np.where(power > LONG, power // 8, power)
    return np.minimum(-(-lengths // step) * step, longest)


def _last_states(
    model: TwoTower,
    table: torch.Tensor,
    histories: Histories,
    users: Rows,
    lengths: Rows,
    at_seconds: Rows,
    width: int,
    people: torch.Tensor | None,
) -> Vectors:
    place = np.arange(width)
    mask = place < lengths[:, None]
    events = np.where(mask, histories.offsets[users + 1][:, None] - lengths[:, None] + place, 0)
    ages = np.where(mask, at_seconds[:, None] - histories.times[events], 0)
    items = histories.items[events].astype(np.int64)
    device = table.device
    state = model.user_vectors(
        functional.embedding(torch.from_numpy(items).to(device), table),
        torch.from_numpy(np.where(mask, histories.events[events], 0).astype(np.int64)).to(device),
        torch.from_numpy(ages).to(device),
        torch.from_numpy(mask).to(device),
        torch.from_numpy(np.where(mask, histories.weights[events], 1)).to(device),
        people,
    )
    return state.cpu().numpy()


def _blocks(count: int, size: int) -> list[tuple[int, int]]:
    return [(start, min(start + size, count)) for start in range(0, count, size)]
