"""The claims of textbooks about dropout, and whether they hold.

May import report, analysis, runs, nets, config. Start with `catalogue.py`.
"""
