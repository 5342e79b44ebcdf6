"""The HTML page of `dropexp report`. Start with `page.py`, which fills `page.html.j2`."""
