"""The report as one page: markup, tables, figures, and the page's own style and script."""
