"""From run records to verdicts: arms, baselines, paired statistics, published figures. No torch.

May import runs, config. Start with `comparison.py`.
"""
