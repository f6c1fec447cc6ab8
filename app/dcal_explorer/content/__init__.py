"""What both faces say and show: captions, cards, checkpoints, galleries."""
