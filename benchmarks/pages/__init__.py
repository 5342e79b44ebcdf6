"""Programs that write the generated parts of docs/: Markdown between markers, and charts.

They read results only and measure nothing. `publish.py` calls them; start reading there.
"""
