"""Keeps libraries from asking the network by themselves; called before each of them is imported."""

import os

# Whoever sets one of these in the environment decides otherwise, as HF_HUB_OFFLINE=0 for downloads.
QUIET = {
    "HF_HUB_OFFLINE": "1",  # transformers, timm: models come from folders and the local cache
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",  # sends what is called to its makers unless told not to
    "RAY_USAGE_STATS_ENABLED": "0",  # likewise
}


def stay_offline() -> None:
    """Says so in the environment, which the libraries read when they are imported."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
