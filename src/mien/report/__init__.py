"""One self-contained HTML page about a recording: timelines, shares, gaps, and their meaning."""

from mien.report.charts import Difference, PersonChart, compare, person_charts
from mien.report.history import History
from mien.report.page import write_report

__all__ = ["Difference", "History", "PersonChart", "compare", "person_charts", "write_report"]
