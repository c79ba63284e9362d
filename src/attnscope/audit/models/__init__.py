"""Audits of models, from token ids and logits alone."""

from attnscope.audit.models.run import model as model
from attnscope.audit.models.torch_module import torch_module as torch_module
from attnscope.audit.models.transformers_model import load_model as load_model
from attnscope.audit.models.transformers_model import transformers as transformers
