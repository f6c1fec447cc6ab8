"""Data sets for re-identification: images with an identity and a camera each."""
