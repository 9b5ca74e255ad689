"""Pictures, tables and pages, from the files of a work directory and from tidy tables."""

from lpjax.command import extra

with extra("run"):
    from lpjax.report import heatmap, paired, panels, paths
    from lpjax.report.page import write

__all__ = ["heatmap", "paired", "panels", "paths", "write"]
