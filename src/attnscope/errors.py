"""The errors of attnscope. Each message names the argument, what was expected, what came, and what to do."""


class AttentionError(ValueError):
    """The base class of every error that an argument can cause."""


class AttentionShapeError(AttentionError):
    """Sizes do not fit together, or no machine could hold them."""


class AttentionFormatError(AttentionError):
    """The dtype, byte order, alignment or strides of an array cannot be read."""


class AttentionMaskError(AttentionError):
    """A mask does not fit the problem, or is not a mask."""


class AttentionScoringError(AttentionError):
    """A scale, soft-cap, bias, ALiBi slope or sink has no meaning."""


class UnsupportedProblemError(AttentionError):
    """The implementation that was requested by name cannot run a valid problem."""


class CacheError(AttentionError):
    """A sequence, layer or page is not in the cache, or cannot be used in this way."""


class CacheFullError(CacheError):
    """The cache has no room for the tokens. Nothing was written."""


class ConfigError(AttentionError):
    """A model's config cannot be sized without guessing, or a requirement cannot be planned for."""
