"""The dashboard's pages. They draw what the core computed and compute nothing."""
