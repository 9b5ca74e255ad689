"""Pictures, tables and pages, from the files of a work directory and from tidy tables.

Read `reading` and `arms` first: what a work directory holds, as tables. Then `tables`, `superposed` and `paired`:
numbers for people. `style` is how everything is drawn; `pooled` and `sparse` draw the figures of a run, `figures` saves
them, and `vector` makes them elements of the page. `so_far` tells of unfinished runs; `page` puts all of it into the
templates beside it. `text` is the short form for a terminal, `cite` the BibTeX entries.
`panels`, `paths` and `heatmap` draw tidy tables of any experiment.
"""

from lpjax.command import extra

with extra("run"):
    from lpjax.report import heatmap, paired, panels, paths
    from lpjax.report.cite import cite
    from lpjax.report.page import write
    from lpjax.report.text import describe

__all__ = ["cite", "describe", "heatmap", "paired", "panels", "paths", "write"]
