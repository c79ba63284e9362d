"""Probes of functions: each asks one kind of question. `audit.run` names their order."""
