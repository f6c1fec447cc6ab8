"""Explanations: the record of one inspected image, class relevance, and why two images match."""
