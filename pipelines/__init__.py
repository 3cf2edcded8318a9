"""Floor 3: the command line, and one module a stage, each with `run(settings)`."""

import os

# Waiting threads sleep instead of spinning, which beside other work took five times the CPU time.
# OpenMP reads this once, when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
