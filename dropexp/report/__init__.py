"""From verdicts to tables, charts, an HTML page and exports. No torch.

May import analysis, runs, config, and types of training. Start with `comparison_tables.py` (what is shown);
`console.py`, `markup.py` and `html.py` show it, `charts.py` draws it.
"""
