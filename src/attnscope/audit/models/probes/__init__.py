"""The probes of models: each asks one kind of question."""
