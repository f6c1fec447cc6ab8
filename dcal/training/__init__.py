"""Training: configuration and presets, the training loop, optimizer, snapshots and logs."""
