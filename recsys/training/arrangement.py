"""What a picture's adapter learns of turned photos and of frames out of order.

Encoders are frozen: turned copies and single frames were encoded before, and only their projection,
that of the image modality, and a head learn. Called by `objectives`.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.training.contrast import Outcome, Views, nothing

SHOWN = 3  # frames; which of them was in the middle is the same forwards and backwards


class Rotation(nn.Module):
    """Which way was a photo turned? (RotNet: Gidaris, Singh and Komodakis, 2018)"""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 4))

    def forward(self, views: Views) -> Outcome:
        """Cross-entropy over the four turns of each photo; chance is a quarter."""
        tokens = views.turned.flatten(0, 1)
        if not len(tokens):
            return nothing(views.whole)
        turns = torch.arange(views.turned.shape[1], device=tokens.device)
        return _classified(self.head(tokens), turns.repeat(len(views.turned)))


class Order(nn.Module):
    """Which of three successive frames, shown in any order, was in the middle?

    Orders are told apart up to playing backwards, from the differences of each two frames (Lee,
    Huang, Singh and Yang, 2017). Frames are of where most moves: as much as in the median place of
    the clip, or more (Misra, Zitnick and Hebert, 2016).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.head = nn.Sequential(
            nn.Linear(2 * SHOWN * width, 2 * width), nn.GELU(), nn.Linear(2 * width, SHOWN)
        )

    def forward(self, views: Views) -> Outcome:
        """Cross-entropy over the three places; chance is a third."""
        frames = views.frames
        if not len(frames):
            return nothing(views.whole)
        rows = torch.arange(len(frames), device=frames.device)
        start = torch.multinomial(_moving(views.motion), 1)
        places = start + torch.rand(len(frames), SHOWN, device=frames.device).argsort(dim=1)
        shown = frames[rows.unsqueeze(1), places]
        pairs = [(shown[:, i], shown[:, j]) for i, j in ((0, 1), (0, 2), (1, 2))]
        told = [part for a, b in pairs for part in ((a - b).abs(), a * b)]
        middle = (places == start + 1).int().argmax(dim=1)
        return _classified(self.head(torch.cat(told, dim=1)), middle)


def _moving(motion: Tensor) -> Tensor:
    """`[c, F - 1]` changes from frame to frame to `[c, F - 2]`: 1 where a window may begin."""
    change = motion[:, 1:] + motion[:, :-1]
    return (change >= change.median(dim=1, keepdim=True).values).float()


def _classified(logits: Tensor, wanted: Tensor) -> Outcome:
    loss = functional.cross_entropy(logits.float(), wanted)
    right = float((logits.argmax(dim=1) == wanted).sum())
    return Outcome(loss, right, len(wanted) / logits.shape[1], len(wanted))
