"""The table of known mistakes, each a small wrong reading that is tried on a call that went wrong."""

from attnscope.audit.mistakes.mistake import Mistake as Mistake
from attnscope.audit.mistakes.table import MISTAKES as MISTAKES
from attnscope.audit.mistakes.table import explaining as explaining
from attnscope.audit.mistakes.table import explains_empty_rows as explains_empty_rows
