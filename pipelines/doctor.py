"""`recsys doctor`: do the installed libraries fit together and to this machine; if not, the fix."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from pipelines.settings import Settings
from recsys.errors import MismatchFault
from recsys.progress import track

Verdict = Literal["ok", "warn", "fail"]
ON_CPU = "pip install ./packaging/cpu -e . (in one call, from the checkout)"
TOGETHER = "torch, torchvision, torchrec and fbgemm-gpu share one C++ ABI: install them in one call"
MINIMUM_FREE_BYTES = 2 * 2**30


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's table."""

    check: str
    verdict: Verdict
    found: str
    fix: str = ""


def run(settings: Settings) -> dict[str, Any]:
    """Looks at versions, devices, library fit and disk.

    Raises:
        MismatchFault: something does not fit; the message lists each failed check with its fix.
    """
    findings = [
        _python(),
        _torch(),
        *(_imports(*library) for library in track(IMPORTS, "libraries", len(IMPORTS))),
        _codec(),
        _loaders(),
        _disk(Path(settings.work)),
    ]
    failed = [finding for finding in findings if finding.verdict == "fail"]
    text = as_text(findings)
    if failed:
        print(text)
        raise MismatchFault(
            f"{len(failed)} of {len(findings)} checks failed: {', '.join(f.check for f in failed)}",
            fix=failed[0].fix,
        )
    return {"text": text, "checks": [asdict(finding) for finding in findings]}


def as_text(findings: list[Finding]) -> str:
    """One line a finding, and one more for its fix."""
    return "\n".join(
        f"{finding.verdict:5} {finding.check:12} {finding.found}"
        + (f"\n{'':18} fix: {finding.fix}" if finding.fix else "")
        for finding in findings
    )


IMPORTS = (
    ("torchvision", "torchvision", f"without CUDA: {ON_CPU}; with CUDA: {TOGETHER}"),
    ("fbgemm_gpu", "fbgemm-gpu", f"without CUDA: {ON_CPU}; with CUDA: {TOGETHER}"),
    ("torchrec", "torchrec", f"without CUDA: {ON_CPU}; with CUDA: {TOGETHER}"),
    ("timm", "timm", "pip install 'timm>=1.0.31' together with torch and torchvision"),
    ("transformers", "transformers", "pip install 'transformers>=5.23,<6'"),
    ("faiss", "faiss-cpu", "pip install 'faiss-cpu>=1.15,<2'"),
    ("polars", "polars", "pip install 'polars>=2.1,<3'"),
    ("av", "av", "pip install 'av>=18'"),
)


def diagnosis(error: str, fix: str) -> str:
    """The fix for an import that failed, from the last line of its traceback."""
    known = {
        r"torchvision::nms does not exist": f"torchvision is built for CUDA: {ON_CPU}",
        r"libnvidia-ml|libcuda": f"a CUDA build without a driver: {ON_CPU}",
        r"undefined symbol": f"built for another torch: {TOGETHER}",
        r"No module named": fix,
    }
    for pattern, remedy in known.items():
        if re.search(pattern, error):
            return remedy
    return fix


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", "ok", version)


def _torch() -> Finding:
    try:
        import torch
    except (ImportError, OSError) as error:
        return Finding("torch", "fail", str(error), "pip install 'torch>=2.13,<2.14'")
    driver = Path("/proc/driver/nvidia/version").exists()
    found = f"{torch.__version__}, {torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        return Finding("torch", "ok", f"{found}, {torch.cuda.get_device_name(0)}")
    if driver:
        fix = "an NVIDIA driver is there, but this torch cannot use it: install torch's CUDA build"
        return Finding("torch", "warn", f"{found}, CPU only", fix)
    return Finding("torch", "ok", f"{found}, CPU only (no NVIDIA driver here)")


def _imports(module: str, package: str, fix: str) -> Finding:
    """Imports in a process of its own: a mismatched library may take the process down."""
    try:
        version = metadata.version(package)
    except metadata.PackageNotFoundError:
        return Finding(package, "fail", "not installed", fix)
    done = subprocess.run(
        [sys.executable, "-c", f"import {module}"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    if done.returncode == 0:
        return Finding(package, "ok", version)
    last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
    return Finding(package, "fail", f"{version}: {last[:120]}", diagnosis(done.stderr, fix))


def _codec() -> Finding:
    try:
        import av

        av.codec.Codec("h264", "r")
    except (ImportError, ValueError) as error:
        return Finding("h264", "fail", str(error), "pip install 'av>=18'")
    return Finding("h264", "ok", f"decoder of FFmpeg {av.ffmpeg_version_info}")


def _loaders() -> Finding:
    if os.environ.get("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"):
        fix = "unset TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD: it lets other programs' files run code"
        return Finding("safe loading", "warn", "protection is switched off", fix)
    return Finding("safe loading", "ok", "no switch in the environment weakens it")


def _disk(work: Path) -> Finding:
    while not work.exists() and work != work.parent:
        work = work.parent
    free = shutil.disk_usage(work).free
    found = f"{free / 2**30:.1f} GiB free at {work.resolve()}"
    if free < MINIMUM_FREE_BYTES:
        return Finding("disk", "warn", found, "free space, or set work= to another disk")
    return Finding("disk", "ok", found)
