"""Floor 3: the command line, and one module a stage, each with `run(settings)`."""

import os

# Waiting threads sleep instead of spinning, which beside other work took five times the CPU time.
# OpenMP reads this once, when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# How many of the products of matrices that it has prepared oneDNN keeps, most of a megabyte each.
# A batch of training brings shapes of its own: of the usual 1,024 nearly none is used twice, and
# what lies between them cannot be used either. An image network has about a hundred. Read at the
# first product.
for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
    os.environ.setdefault(name, "128")
