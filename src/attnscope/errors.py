"""What attnscope raises: each error names the argument, what was expected, what came and the way out."""


class AttentionError(ValueError):
    """The base of every error that a caller of attnscope can cause."""


class AttentionShapeError(AttentionError):
    """Sizes that do not fit together, or that no machine could hold."""


class AttentionFormatError(AttentionError):
    """An array whose dtype, byte order, alignment or strides cannot be read."""


class AttentionMaskError(AttentionError):
    """A mask that does not describe this problem."""


class AttentionScoringError(AttentionError):
    """A scale, soft-cap, bias, slope or sink that has no meaning here."""


class UnsupportedProblemError(AttentionError):
    """A legal problem that the implementation asked for by name cannot run."""


class CacheError(AttentionError):
    """A sequence, layer or page that a cache does not have, or that cannot be used so."""


class CacheFullError(CacheError):
    """More tokens than the cache was made for; nothing was written."""


class ConfigError(AttentionError):
    """A model's config that cannot be sized without a guess, or a wish that no plan can be made for."""
