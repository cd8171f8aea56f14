"""Stores that are reached through Python: awaited on an event loop, or called from threads."""
