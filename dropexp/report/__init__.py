"""From verdicts to tables, charts, an HTML page and exports. No torch.

May import analysis, runs, config. Start with `tables.py`.
"""
