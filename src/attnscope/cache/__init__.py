"""Keys and values kept between calls: pages of them, and the cache that hands pages out."""

from attnscope.cache.int8 import quantize as quantize
from attnscope.cache.kv_cache import KVCache as KVCache
from attnscope.cache.paged import append as append
from attnscope.cache.paged import attend as attend
from attnscope.kernels import Pages as Pages
