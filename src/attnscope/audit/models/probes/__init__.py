"""The probes of models: each asks one kind of question. `audited` names their order."""
