"""What is shown, as tables of text. Start with `comparison.py`."""
