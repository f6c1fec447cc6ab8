"""Data sets in their official layouts, and photos as training samples."""
