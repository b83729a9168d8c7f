"""The series as coursework: handing it out, collecting it, and grading it without trusting it."""
