"""Learn: exercises in which a transformer is built by hand, and a grader that says what is wrong. Loads no torch."""

from oneblock.learn.grade import Grade
from oneblock.learn.grading import check, check_all

__all__ = ["Grade", "check", "check_all"]
