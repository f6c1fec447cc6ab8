"""The study of the four ablations: a queue of resumable runs, per-image predictions, and a report made from them."""
