"""Claims of teaching texts about dropout, and whether they hold: `catalogue.py` has the list."""
