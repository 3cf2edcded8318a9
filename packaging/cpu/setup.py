"""Adds the .pth file to the root of the wheel: setuptools has no declarative way to do so."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithPth(build_py):
    def run(self) -> None:
        super().run()
        Path(self.build_lib, "torchvision_on_cpu.pth").write_text("import torchvision_on_cpu\n")

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [
            *super().get_outputs(include_bytecode),
            str(Path(self.build_lib, "torchvision_on_cpu.pth")),
        ]


setup(cmdclass={"build_py": BuildWithPth})
