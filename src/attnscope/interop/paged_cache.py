"""PagedCache: the keys and values of a Transformers model in pages."""

import copy
from typing import Any

import torch
from transformers import Cache, DynamicCache, cache_utils

from attnscope.errors import CacheError, UnsupportedProblemError
from attnscope.interop.paged_layer import PagedLayer, PageOptions


class PagedCache(Cache):  # type: ignore[misc]  # Transformers has no types here
    """A cache of Transformers whose keys and values lie in pages, where attnscope's attention reads them.

    New tokens are written behind the old ones; nothing is copied per token. Rows that begin alike share
    pages: beams, forks, and batches made from one prefix.

    Parameters
    ----------
    config : PreTrainedConfig
        The model's config.
    dtype : {"float32", "bfloat16", "float16", "int8"}, optional
        The format of the stored numbers; the model's by default. int8 has one float32 scale per token and
        head, and an error of at most `max |x| / 254` per number.
    page_tokens : int, default 64
        Tokens per page.
    capacity_tokens : int, optional
        A hard limit per layer, over all rows. None: the cache grows as needed.

    Raises
    ------
    UnsupportedProblemError
        If a layer keeps something else than keys, values, or the states of linear attention.

    Notes
    -----
    For models with `attn_implementation=register()`. Layers with a sliding window or chunks give back the
    pages that no later query sees. `copy.deepcopy(cache)` is `cache.fork()`.

    If capacity_tokens does not suffice, CacheFullError is raised before any layer is changed: the cache still
    holds all earlier tokens.

    Examples
    --------
    >>> cache = PagedCache(model.config, dtype="int8")  # doctest: +SKIP
    >>> model.generate(ids, past_key_values=cache)  # doctest: +SKIP
    """

    def __init__(
        self,
        config: Any,
        *,
        dtype: str | None = None,
        page_tokens: int = 64,
        capacity_tokens: int | None = None,
    ) -> None:
        options = PageOptions(dtype, page_tokens, capacity_tokens)
        of_transformers = DynamicCache(config=config).layers
        super().__init__(layers=[paged(each, options, number) for number, each in enumerate(of_transformers)])

    def __repr__(self) -> str:
        return f"PagedCache({len(self)} layers, {self.get_seq_length()} tokens, {self.bytes_used:,} bytes)"

    def __deepcopy__(self, _: Any) -> "PagedCache":
        return self.fork()

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # NumPy cannot be traced
    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: Any, **others: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write a layer's new keys and values.

        Parameters
        ----------
        key_states : Tensor, (batch, kv_heads, tokens, key_dim)
        value_states : Tensor, (batch, kv_heads, tokens, value_dim)
        layer_idx : int
            The layer.
        *args, **others : Any
            What else Transformers passes to a layer.

        Returns
        -------
        PagedVectors, PagedVectors
            All kept keys and values, without memory.

        Raises
        ------
        CacheFullError
            If the tokens do not fit into every layer. Nothing was written.
        CacheError
            If the cache is of another model, or the number of rows is another.
        """
        if not 0 <= layer_idx < len(self.layers):
            raise CacheError(
                f"the model has a layer {layer_idx}, and the cache {len(self.layers)} layers: a cache "
                "belongs to one model. Make a new PagedCache(model.config)."
            )
        paged_layers = self._paged
        if self.layers[layer_idx] is paged_layers[0]:
            for each in paged_layers:
                each.check_room(key_states.shape[2])
        return super().update(key_states, value_states, layer_idx, *args, **others)  # type: ignore[no-any-return]

    def fork(self) -> "PagedCache":
        """Make a cache with the same tokens. Pages are shared until one side writes to them.

        Returns
        -------
        PagedCache
            To continue the same texts in another way.
        """
        layers = [
            each.fork() if isinstance(each, PagedLayer) else copy.deepcopy(each) for each in self.layers
        ]
        other = PagedCache.__new__(PagedCache)
        Cache.__init__(other, layers=layers)
        return other

    @classmethod
    def from_prefix(cls, cache: "PagedCache", batch: int) -> "PagedCache":
        """Make a cache in which several rows continue the same text, whose pages they share.

        Parameters
        ----------
        cache : PagedCache
            A cache of one row, such as a system prompt or a document. It is not changed.
        batch : int
            The number of rows; of each row of the cache, if it has several.

        Returns
        -------
        PagedCache
            For inputs of so many rows.
        """
        other = cache.fork()
        other.batch_repeat_interleave(batch)
        return other

    @property
    def bytes_used(self) -> int:
        """Bytes of the pages in use, over all layers and all forks. A shared page counts once."""
        return sum(each.bytes_used for each in self._paged)

    @property
    def _paged(self) -> list[PagedLayer]:
        return [each for each in self.layers if isinstance(each, PagedLayer)]


def paged(layer: Any, options: PageOptions, number: int) -> Any:
    """The layer of a PagedCache in place of one that Transformers' own cache would have.

    Raises
    ------
    UnsupportedProblemError
        If it keeps more than keys and values.
    """
    if type(layer) is cache_utils.DynamicLayer:
        return PagedLayer(options)
    if type(layer) is cache_utils.DynamicSlidingWindowLayer:
        return PagedLayer(options, layer.sliding_window)
    if type(layer) in (cache_utils.DummyLayer, cache_utils.LinearAttentionLayer):
        return layer
    raise UnsupportedProblemError(
        f"layer {number} of this model keeps a {type(layer).__name__}, and a PagedCache only keys and "
        "values. Leave past_key_values to Transformers."
    )
