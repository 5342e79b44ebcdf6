"""Crash tests: `make torture`. Processes are killed, files corrupted, disks filled; in the end no run may be lost.

They need Linux, and some of them root: they mount disks, create control groups and drop capabilities. If a disk cannot
be mounted, the test fails with a message; without root the test with a memory limit is skipped.
"""
