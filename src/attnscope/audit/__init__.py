"""Audits of attention functions and models: broken promises, likely causes, smallest calls."""

from attnscope.audit.contract import Contract as Contract
from attnscope.audit.contract import ContractError as ContractError
from attnscope.audit.models import load_model as load_model
from attnscope.audit.models import model as model
from attnscope.audit.models import torch_module as torch_module
from attnscope.audit.models import transformers as transformers
from attnscope.audit.options import OPTIONS as OPTIONS
from attnscope.audit.report import Report as Report
from attnscope.audit.run import attention as attention
from attnscope.audit.targets import TargetError as TargetError
from attnscope.audit.targets import adapted as adapted
from attnscope.audit.targets import claims_of_file as claims_of_file
from attnscope.audit.targets import contract_for as contract_for
from attnscope.audit.targets import load_target as load_target
from attnscope.audit.targets import tokens_first as tokens_first
from attnscope.audit.targets import torch_function as torch_function
from attnscope.probing import Counterexample as Counterexample
from attnscope.probing import Finding as Finding
from attnscope.probing import Severity as Severity

# What users may rely on; the command line uses the rest, too.
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
