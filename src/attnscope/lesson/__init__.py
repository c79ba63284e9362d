"""The lesson's exercises, checked: what is wrong with an answer, and the smallest call that shows it."""

from attnscope.lesson.check import check as check
from attnscope.lesson.verdict import Counterexample as Counterexample
from attnscope.lesson.verdict import LessonError as LessonError
from attnscope.lesson.verdict import Verdict as Verdict
