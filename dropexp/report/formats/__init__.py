"""Tables for a terminal, for Markdown, for LaTeX and for a notebook. Start with `console.py`."""
