"""Does an attention function, or a model, keep its promises? Probes, verdicts, and the smallest call per mistake."""

from attnscope.audit.contract import Contract as Contract
from attnscope.audit.contract import ContractError as ContractError
from attnscope.audit.models.run import model as model
from attnscope.audit.models.torch_module import torch_module as torch_module
from attnscope.audit.models.transformers_model import transformers as transformers
from attnscope.audit.options import OPTIONS as OPTIONS
from attnscope.audit.report import Report as Report
from attnscope.audit.run import attention as attention
from attnscope.audit.targets import tokens_first as tokens_first
from attnscope.audit.targets import torch_function as torch_function
from attnscope.probing import Counterexample as Counterexample
from attnscope.probing import Finding as Finding
from attnscope.probing import Severity as Severity

# What users may rely on; the command line reads the table of options, too.
__all__ = [
    "Contract",
    "ContractError",
    "Counterexample",
    "Finding",
    "Report",
    "Severity",
    "attention",
    "model",
    "tokens_first",
    "torch_function",
    "torch_module",
    "transformers",
]
