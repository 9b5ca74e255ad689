"""Pictures and pages, from the files of a work directory alone."""

from lpjax.report.page import write

__all__ = ["write"]
