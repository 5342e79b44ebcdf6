"""The commands: each parses its options, calls the library and prints.

May import every package. No package imports it; the module `dropexp.notebook` imports only its progress.
Start with `app.py`; `main.py` has the exit codes.
"""
