"""PK batches against the rules, counted naively."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcal.data.pk_sampler import PKSampler
from dcal.errors import DCALError

LABELS = [4] * 9 + [0] * 2 + [7] * 5 + [1] * 4 + [3] * 11  # in this order: labels are no places


def test_every_batch_has_p_identities_and_k_images_of_each():
    epoch = PKSampler(LABELS, identities=3, instances=4, seed=1).epoch(0)
    for batch in epoch.batches:
        owners = [LABELS[index] for index in batch]
        assert len(batch) == 12
        assert [len(set(owners[at : at + 4])) for at in (0, 4, 8)] == [1, 1, 1]  # an identity's images in a row
        assert len(set(owners)) == 3


def test_images_come_once_but_where_there_are_too_few():
    sampler = PKSampler(LABELS, identities=2, instances=4, seed=1)
    for number in range(20):
        epoch = sampler.epoch(number)
        times = Counter(index for batch in epoch.batches for index in batch)
        for index, count in times.items():
            assert count == (2 if LABELS[index] == 0 else 1)  # two images in a group of four
        assert epoch.left_out == len(LABELS) - len(times)
    assert sampler.repeating == 1


def test_three_images_in_a_group_of_five_take_turns():
    epoch = PKSampler([0, 0, 0], identities=1, instances=5).epoch(0)
    assert sorted(Counter(epoch.batches[0]).values()) == [1, 2, 2]


def test_it_says_what_it_leaves_out():
    epoch = PKSampler([0] * 6 + [1] * 6, identities=2, instances=4).epoch(0)
    assert str(epoch) == "1 batches, 4 images left out"
    assert len(PKSampler([0] * 8 + [1] * 8, identities=2, instances=4).epoch(5).batches) == 2


def test_what_one_epoch_leaves_out_another_takes():
    sampler = PKSampler([0] * 6 + [1] * 6, identities=2, instances=4)
    seen = {index for number in range(20) for batch in sampler.epoch(number).batches for index in batch}
    assert seen == set(range(12))


def test_seed_and_epoch_decide():
    def draw(seed: int, epoch: int, before: tuple[int, ...] = ()) -> tuple[tuple[int, ...], ...]:
        sampler = PKSampler(LABELS, identities=2, instances=3, seed=seed)
        for other in before:
            sampler.epoch(other)
        return sampler.epoch(epoch).batches

    assert draw(3, 5) == draw(3, 5, before=(0, 9, 5))
    assert draw(3, 5) != draw(3, 6)
    assert draw(3, 5) != draw(4, 5)


def test_few_groups_are_over_where_identities_differ_in_size():
    """Drawn with equal chances, the large identities would be left over: an eighth of these images or more."""
    labels = [label for label in range(20) for _ in range(4 * (2 + 2 * label))]
    epoch = PKSampler(labels, identities=8, instances=4).epoch(0)
    assert epoch.left_out < 0.08 * len(labels)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=60),
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(0, 3),
)
def test_rules_hold_for_any_labels(labels: list[int], identities: int, instances: int, epoch: int):
    if len(set(labels)) < identities:
        with pytest.raises(
            DCALError, match=f"{identities} identities a batch.* --batch-size {len(set(labels)) * instances}$"
        ):
            PKSampler(labels, identities, instances)
        return
    drawn = PKSampler(labels, identities, instances).epoch(epoch)
    sizes = Counter(labels)
    groups = sum(max(1, size // instances) for size in sizes.values())
    assert 1 <= len(drawn.batches) <= groups // identities
    for batch in drawn.batches:
        assert Counter(labels[index] for index in batch) == dict.fromkeys({labels[i] for i in batch}, instances)
        assert len({labels[index] for index in batch}) == identities


@pytest.mark.parametrize(("identities", "instances"), [(0, 4), (2, 0)])
def test_empty_batches(identities: int, instances: int):
    with pytest.raises(DCALError, match=f"got {identities} × {instances}"):
        PKSampler(LABELS, identities, instances)
