"""The compiled kernel: CPU levels, threads, and described problems computed on them."""

from attnscope.kernels.core import this_python as this_python
from attnscope.kernels.gradients import run_gradients as run_gradients
from attnscope.kernels.level import forced_level as forced_level
from attnscope.kernels.level import lacking_features as lacking_features
from attnscope.kernels.level import level as level
from attnscope.kernels.level import usable_levels as usable_levels
from attnscope.kernels.level import why_no_level as why_no_level
from attnscope.kernels.limits import measure_fma_limit as measure_fma_limit
from attnscope.kernels.limits import measure_read_bandwidth as measure_read_bandwidth
from attnscope.kernels.pages import run_pages as run_pages
from attnscope.kernels.run import run as run
from attnscope.kernels.run import why_not as why_not
from attnscope.kernels.statistics import observe as observe
from attnscope.kernels.statistics import observe_pages as observe_pages
from attnscope.kernels.threads import default_threads as default_threads
from attnscope.kernels.threads import set_default_threads as set_default_threads
from attnscope.kernels.threads import use_openmp as use_openmp

# What users may rely on; the other rooms use the rest, too.
__all__ = [
    "default_threads",
    "forced_level",
    "level",
    "measure_fma_limit",
    "measure_read_bandwidth",
    "set_default_threads",
    "usable_levels",
    "use_openmp",
    "why_not",
]
