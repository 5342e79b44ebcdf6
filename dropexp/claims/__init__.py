"""The claims of textbooks about dropout, and whether they hold.

May import report, analysis, runs, nets. Start with `catalogue.py`.
"""
