"""Stores accessed through Python: awaited on an event loop, or called from threads."""
