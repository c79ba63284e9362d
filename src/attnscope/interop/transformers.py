"""attnscope as the attention of Transformers' models: register(), PagedCache, observing(), hidden keys."""

from attnscope.interop.hidden_keys import logits_of_pass as logits_of_pass
from attnscope.interop.observing import observing as observing
from attnscope.interop.paged_cache import PagedCache as PagedCache
from attnscope.interop.prefix_gradient import contributions_of_keys as contributions_of_keys
from attnscope.interop.seen import Seen as Seen
from attnscope.interop.shared_prefix import SharedPrefix as SharedPrefix
from attnscope.interop.transformers_register import register as register
