"""Public data sets as their authors distribute them, turned into dataset folders.

Each format is one small module with `plan(origin, ...)`: which files, how they are written, what
becomes of each column. `importing` carries any plan out.
"""
