"""One self-contained HTML page about a recording: timelines, shares, gaps, and their meaning."""

from mien.report.collector import ReportSink
from mien.report.page import content_hashes
from mien.report.records import ReportFacts

__all__ = ["ReportFacts", "ReportSink", "content_hashes"]
