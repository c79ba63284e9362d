"""Probes of functions: each asks one kind of question. Their order is in `table`."""
