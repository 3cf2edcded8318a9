"""Properties have no deadline: machines are shared, and speed is measured in benchmarks."""

from hypothesis import settings

settings.register_profile("shared", deadline=None)
settings.load_profile("shared")
