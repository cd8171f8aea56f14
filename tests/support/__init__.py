"""What the tests share: stores, servers, codecs and tables. No tests."""
