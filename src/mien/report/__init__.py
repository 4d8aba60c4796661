"""One self-contained HTML page about a recording: timelines, shares, gaps, and their meaning."""

from mien.report.charts import PersonChart, person_charts
from mien.report.comparison import Difference, compare
from mien.report.history import History
from mien.report.page import write_report

__all__ = ["Difference", "History", "PersonChart", "compare", "person_charts", "write_report"]
