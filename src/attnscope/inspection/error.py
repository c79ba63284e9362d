"""What `attnscope inspect` refuses, each with the way out."""

from attnscope.errors import AttentionError


class InspectionError(AttentionError):
    """A text, a chat, segments or a model that cannot be inspected as asked."""
