"""Judging ranked lists: metrics, intervals, segments, baselines, one table.

Called by the pipelines. Lists are int64 arrays `[U, K]` of item rows, best first, -1 where there is
no item. Nothing here knows how a list was made.
"""
