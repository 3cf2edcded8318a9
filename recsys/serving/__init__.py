"""Floor 2: from vectors to published lists: index, candidates, reranking, release, report."""
