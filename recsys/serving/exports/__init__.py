"""A release handed to what serves it: files, Redis, PostgreSQL; the new night appears at once."""
