"""The live view of attention: one JavaScript module for all faces, and the Python that feeds it."""
