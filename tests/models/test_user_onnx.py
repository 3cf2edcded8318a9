"""The exported user tower says what the model says, for any batch and length."""

from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
runtime = pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

from recsys.models import two_tower, user_onnx  # noqa: E402
from recsys.models.item_features import ItemFeatures  # noqa: E402
from recsys.models.two_tower import ModelSettings  # noqa: E402
from recsys.models.user_tower import UserTowerSettings  # noqa: E402
from recsys.user_columns import UserColumn  # noqa: E402

VARIANTS = [
    UserTowerSettings(kind="transformer", heads=2, max_length=20),
    UserTowerSettings(kind="transformer", heads=2, max_length=20, request_time=True,
                      event_weights=True),
    UserTowerSettings(kind="gru", max_length=20),
    UserTowerSettings(kind="attention", heads=2, max_length=20),
    UserTowerSettings(kind="mean", max_length=20),
]  # fmt: skip
COLUMNS = (
    UserColumn(name="city", values=("Paris", "Lyon", "Nice")),
    UserColumn(name="age", edges=(30.0,)),
)


@pytest.mark.parametrize("columns", [(), COLUMNS], ids=["", "people"])
@pytest.mark.parametrize("users", VARIANTS, ids=lambda users: users.kind)
def test_it_equals_the_model(
    users: UserTowerSettings, columns: tuple[UserColumn, ...], tmp_path: Path
) -> None:
    features = ItemFeatures(("text",), {"text": torch.randn(5, 6)}, torch.ones(5, 2).bool())
    settings = ModelSettings(width=8, users=users)
    model = two_tower.build(settings, features, ("cart", "view"), 0, columns).eval()
    if columns:
        torch.nn.init.normal_(model.user_tower.attributes.table)
    user_onnx.export(model, tmp_path / "user.onnx")
    session = runtime.InferenceSession(tmp_path / "user.onnx")
    wanted = {one.name for one in session.get_inputs()}
    random = torch.Generator().manual_seed(1)
    for lengths in ([1], [3, 1, 2], [20, 7, 20, 1]):
        mask = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
        items = torch.randn(*mask.shape, 8, generator=random) * mask.unsqueeze(-1)
        ages = torch.randint(0, 10**7, mask.shape, generator=random).sort(descending=True)[0]
        events = torch.randint(1, 3, mask.shape, generator=random)
        weights = torch.randint(1, 6, mask.shape, generator=random).float()
        people = torch.randint(-1, 2, (len(lengths), 2), generator=random)
        given = (items, events, ages, mask, weights, people)
        told = dict(zip(user_onnx.NAMES, given, strict=True))
        (found,) = session.run(None, {k: v.numpy() for k, v in told.items() if k in wanted})
        with torch.inference_mode():
            expected = model.user_vectors(*given).numpy()
        np.testing.assert_allclose(found, expected, atol=2e-5)
