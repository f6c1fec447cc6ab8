"""The dashboard's pages, below their titles. They draw what the core computed and compute nothing."""
