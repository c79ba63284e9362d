"""The probes of a model, each of one kind of promise."""
