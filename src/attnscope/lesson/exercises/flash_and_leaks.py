"""Exercise 10: flash attention, and finding a leak."""

from attnscope.lesson.exercises.flash import FLASH, MERGE
from attnscope.lesson.exercises.leaks import LEAKS
from attnscope.lesson.question import Exercise

EXERCISE = Exercise(10, "flash, and find the leak", (FLASH, LEAKS), (MERGE,))
