"""Shared by the test files: stores, servers, codecs and tables. Holds no tests."""
