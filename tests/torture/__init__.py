"""Crash tests: `make torture`. Processes are killed, files damaged, disks filled, and in the end nothing may be lost.

They need Linux, and some of them root: disks, cgroups and other users are real. Where one cannot be had the test fails
and says so.
"""
