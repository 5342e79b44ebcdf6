"""What is on disk: run folders, their records and their states. No torch.

May import config. Start with `folder.py`.
"""
