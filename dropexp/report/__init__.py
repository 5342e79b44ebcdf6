"""From verdicts to tables, charts, an HTML page and exports. No torch.

May import analysis, runs, config, and types of training. Start with `tables/comparison.py` (what is shown): `formats`
prints tables, `charts` draws figures, `page` has both, and `trackers` exports runs.
"""
