"""A two-tower multimodal recommender: from raw logs and media to published nightly lists."""

__version__ = "0.1.0"
