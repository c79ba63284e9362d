"""Check the lesson's exercises: what is wrong with an answer, and the smallest call that shows it."""

from attnscope.lesson.check import check as check
from attnscope.lesson.check import solution as solution
from attnscope.lesson.figure import FIGURES as FIGURES
from attnscope.lesson.figure import Figure as Figure
from attnscope.lesson.figure import figure as figure
from attnscope.lesson.grading import Grade as Grade
from attnscope.lesson.grading import Graded as Graded
from attnscope.lesson.grading import grade as grade
from attnscope.lesson.grading import grade_all as grade_all
from attnscope.lesson.grading import notebooks_in as notebooks_in
from attnscope.lesson.notebook import Limits as Limits
from attnscope.lesson.verdict import LessonError as LessonError
from attnscope.lesson.verdict import Verdict as Verdict
from attnscope.probing import Counterexample as Counterexample

__all__ = ["Counterexample", "Figure", "LessonError", "Verdict", "check", "figure", "solution"]
