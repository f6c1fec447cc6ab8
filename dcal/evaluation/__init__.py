"""Evaluation of a checkpoint on a test split: accuracies, rankings, and the report of `dcal eval`."""
