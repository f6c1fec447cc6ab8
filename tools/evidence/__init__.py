"""The trials that chose how match evidence is found: every method that was tried, kept so that it can be repeated."""
