"""`python -m pipelines COMMAND`: the same as the `recsys` command."""

from pipelines.cli import main

main()
