"""Lets torchvision's CUDA wheel be imported beside a CPU build of torch.

PyPI's torchvision is compiled against CUDA. Beside a CPU torch its operator library does not load,
and `import torchvision` dies because it registers fake kernels for operators that were never
declared. Declaring the schemas of the two operators first is enough for its transforms, which is
all that timm and transformers need.

`torchvision_on_cpu.pth` imports this module at interpreter start; it only hooks the import of
torchvision and costs nothing until then. Where the operator library loads, nothing is declared.
"""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType


class _DeclareBeforeTorchvision(importlib.abc.MetaPathFinder):
    """Declares the missing operators on the first import of torchvision, then steps aside."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname == "torchvision":
            sys.meta_path.remove(self)
            spec = importlib.machinery.PathFinder.find_spec(fullname, path)
            if spec is not None and spec.submodule_search_locations:
                _declare_operators(spec.submodule_search_locations[0])
        return None


def _declare_operators(folder: str) -> None:
    import ctypes
    import pathlib

    import torch

    try:
        ctypes.CDLL(str(next(pathlib.Path(folder).glob("_C*.so"))))
    except (OSError, StopIteration):
        library = torch.library.Library("torchvision", "FRAGMENT")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        sys.modules[__name__].__dict__["library"] = library  # dropped, its operators would vanish


sys.meta_path.insert(0, _DeclareBeforeTorchvision())
