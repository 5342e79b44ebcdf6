"""Charts, drawn by Altair. Start with `by_name.py`, the list of charts; `data.py` computes the figures they show."""
