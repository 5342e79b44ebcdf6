"""The commands: each parses its options, calls the library and prints.

May import every package; no package imports it, and `dropexp.notebook` only its progress.
Start with `app.py`; `main.py` has the exit codes.
"""
