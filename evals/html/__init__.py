"""The report of an evaluation as one page of HTML, for those who answer for quality."""
