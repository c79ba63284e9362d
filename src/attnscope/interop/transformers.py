"""attnscope as the attention of Transformers' models: register(), and observing()."""

from attnscope.interop.observing import observing as observing
from attnscope.interop.seen import Seen as Seen
from attnscope.interop.transformers_register import register as register
