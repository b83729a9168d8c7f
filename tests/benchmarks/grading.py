"""Grading right submissions: seconds for some, on all processors and in isolation, and 200 by proportion.

python -m tests.benchmarks.grading
"""

import tempfile
import time
from pathlib import Path

from helpers.coursework import exercises, grading
from helpers.coursework.collecting import Submission

SUBMISSIONS = 12


def main() -> None:
    """Print what it takes; the reference solutions are graded first, as for any class."""
    answers = {one.name: one.source for one in exercises.all_exercises() if not one.written}
    class_of = [Submission(f"student-{number}", 0, {}, answers) for number in range(SUBMISSIONS)]
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        grades = grading.grade(class_of, Path(folder))
        seconds = time.perf_counter() - start
    each = seconds / (SUBMISSIONS + 1)
    points = {grade.total() for grade in grades}
    print(f"{SUBMISSIONS} submissions and the reference: {seconds:.1f} s, points {points}")
    print(f"200 submissions, by proportion: {200 * each / 60:.1f} minutes")


if __name__ == "__main__":
    main()
