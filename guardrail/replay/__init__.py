"""The replay: what was decided, decided again from what is stored, or under another policy. It cannot act.

Nothing in here has a tool to call or a ledger to write to: histories are read through a connection that may only
read, and the policies are asked again.
"""
