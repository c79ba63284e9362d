"""Keys and values kept between calls: pages, and the cache that manages them."""

from attnscope.cache.int8 import quantize as quantize
from attnscope.cache.kv_cache import KVCache as KVCache
from attnscope.cache.paged import append as append
from attnscope.cache.paged import attend as attend
from attnscope.cache.paged import attend_pages as attend_pages
from attnscope.cache.queries import as_batch as as_batch
from attnscope.cache.queries import is_one as is_one
from attnscope.problem import Pages as Pages

__all__ = ["KVCache", "Pages", "append", "attend", "quantize"]
