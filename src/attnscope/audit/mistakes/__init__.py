"""Known mistakes: small wrong interpretations that are tried on a call that failed."""

from attnscope.audit.mistakes.table import explaining as explaining
from attnscope.audit.mistakes.table import explains_masked_rows as explains_masked_rows
