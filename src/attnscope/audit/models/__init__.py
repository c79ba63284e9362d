"""Does a model keep its promises? The same verdicts as for a function, from token ids and logits alone."""

from attnscope.audit.models.run import model as model
