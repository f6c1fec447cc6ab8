"""Data sets for fine-grained classification: images with one class each."""
