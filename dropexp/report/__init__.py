"""From verdicts to tables, charts, an HTML page and exports. No torch.

May import analysis, runs, config, and types of training. Start with `tables/comparison.py`. `tables` has what is
shown, `formats` writes it as text, `charts` draws it, `page` is the HTML page, and `trackers` exports runs.
"""
