"""The model: timm's backbone with SA, GLCA and PWCA, its configuration, losses and checkpoints."""
