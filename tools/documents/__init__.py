"""Tables of the documents, made from the files that evaluation and training keep beside the bundled checkpoints."""
