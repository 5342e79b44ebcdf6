"""Crash tests: `make torture`. Processes are killed, files damaged, disks filled, and in the end nothing may be lost.

They need Linux, and some of them root: disks, cgroups and other users are real. Where a disk cannot be had the test
fails and says so; without root the one on memory is skipped.
"""
