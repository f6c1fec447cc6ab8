"""What is read off a model beside identities: the targets by hand, and that the loss knows a right answer."""

import numpy as np
import pytest
import torch

from dcal.data.yard_table import PARTS
from tools.study.parts import LEAST, PartReader, part_targets

DOOR, BADGE = PARTS.index("front door"), PARTS.index("badge")


def scene() -> tuple[np.ndarray, np.ndarray]:
    """32 × 32 pixels in four patches: a red door fills half of the first, a badge is smaller than what counts."""
    image, mask = np.zeros((32, 32, 3), np.uint8), np.zeros((32, 32), np.uint8)
    mask[:8, :16], image[:8, :16] = DOOR, (255, 51, 0)
    mask[20, 20 : 20 + LEAST - 1] = BADGE
    return image, mask


def test_the_targets_are_shares_of_patches_and_mean_colours():
    image, mask = scene()
    found = part_targets([image], [mask], 16)
    assert found.share.shape == (1, 4, len(PARTS)) and torch.allclose(found.share.sum(2), torch.ones(1, 4))
    assert found.share[0, 0, DOOR] == 0.5 and found.share[0, 3, BADGE] == (LEAST - 1) / 256
    assert found.seen[0, DOOR] == 1 and found.seen[0, BADGE] == 0
    assert found.colour[0, DOOR].tolist() == pytest.approx([1.0, 0.2, 0.0])


def test_a_reader_that_says_what_is_there_has_the_least_loss():
    """With the right answers in its biases a reader leaves what the patches' entropy leaves; wrong ones cost more."""
    image, mask = scene()
    mask[:16, :16], image[:16, :16] = DOOR, (255, 51, 0)
    mask[20] = 0
    targets = part_targets([image], [mask], 16)
    reader, feature, patches = PartReader(4), torch.zeros(1, 4), torch.zeros(1, 4, 4)
    losses = []
    for seen, colour in ((0, (1.0, 0.2, 0.0)), (DOOR, (1.0, 0.2, 0.0)), (DOOR, (0.0, 0.2, 1.0))):
        with torch.no_grad():
            for own in reader.parameters():
                own.zero_()
            reader.seen.bias[:] = -20
            reader.seen.bias[[0, seen]] = 20
            reader.colour.bias.view(-1, 3)[DOOR] = torch.tensor(colour)
        losses.append(reader(feature, patches, targets).item())
    unseen, right, recoloured = losses
    assert right < unseen and right < recoloured
    assert recoloured - right == pytest.approx(5.0 * 2 / 3, rel=1e-5)
