"""What a config asks for: schema, parsing, the table of variants, and the runs of a study. No torch.

It imports no other subpackage. Start with `schema.py`, then `study.py`.
"""
