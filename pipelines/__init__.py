"""Floor 3: the command line, and one module a stage, each with `run(settings)`."""
