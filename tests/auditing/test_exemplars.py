"""`auditing.exemplars`: plain Python and scipy as oracles."""

from collections import Counter

import numpy as np
import pytest
import torch

from posttrain_lab.auditing.exemplars import class_damage, damage_tests, identified_exemplars, modal_labels


def drawn(k, n, classes, seed):
    return torch.randint(classes, (k, n), generator=torch.Generator().manual_seed(seed))


def mode(column):
    counts = Counter(column)
    return min(counts, key=lambda label: (-counts[label], label))


@pytest.mark.parametrize("k", [2, 3, 6])
def test_the_mode_is_that_of_a_counter_and_ties_go_to_the_smallest(k):
    labels = drawn(k, 300, 4, k)
    assert modal_labels(labels).tolist() == [mode(column) for column in labels.T.tolist()]


def test_exemplars_are_images_whose_modes_differ():
    dense, compressed = drawn(4, 200, 3, 0), drawn(5, 200, 3, 1)
    wanted = [mode(a) != mode(b) for a, b in zip(dense.T.tolist(), compressed.T.tolist(), strict=True)]
    assert identified_exemplars(dense, compressed).tolist() == wanted


def test_damage_by_confusion_counts():
    dense, compressed, labels = drawn(3, 400, 5, 2), drawn(4, 400, 5, 3), drawn(1, 400, 4, 4)[0]
    found = class_damage(dense, compressed, labels, 5)
    truth = labels.numpy()
    for c in range(4):
        recall = [np.mean([(m[truth == c] == c).mean() for m in part.numpy()]) for part in (compressed, dense)]
        accuracy = [np.mean([(m == truth).mean() for m in part.numpy()]) for part in (compressed, dense)]
        assert found[c].item() == pytest.approx(recall[0] - recall[1] - accuracy[0] + accuracy[1], abs=1e-12)
    assert found[4].isnan()


def test_weighted_by_their_shares_the_damages_sum_to_zero():
    dense, compressed, labels = drawn(3, 300, 4, 5), drawn(3, 300, 4, 6), drawn(1, 300, 4, 7)[0]
    shares = torch.bincount(labels, minlength=4).double() / 300
    assert (shares * class_damage(dense, compressed, labels, 4)).sum().item() == pytest.approx(0, abs=1e-12)


def test_the_tests_are_scipys_with_holms_correction():
    stats = pytest.importorskip("scipy.stats")
    labels = drawn(1, 300, 3, 8)[0]
    dense = torch.where(torch.rand(5, 300, generator=torch.Generator().manual_seed(1)) < 0.9, labels, 0)
    compressed = torch.where((torch.rand(6, 300, generator=torch.Generator().manual_seed(2)) < 0.6) | (labels < 2), labels, 0)
    found = {one.label: one for one in damage_tests(dense, compressed, labels, 3)}
    raw = []
    for c in range(3):
        own = [
            [((m == labels)[labels == c].double().mean() - (m == labels).double().mean()).item() for m in part]
            for part in (compressed, dense)
        ]
        raw.append(float(stats.ttest_ind(own[0], own[1], equal_var=False).pvalue))
    order, largest = sorted(range(3), key=raw.__getitem__), 0.0
    for rank, c in enumerate(order):
        largest = max(largest, min(1.0, (3 - rank) * raw[c]))
        assert found[c].p == pytest.approx(largest, rel=1e-8)
    assert damage_tests(dense, compressed, labels, 3)[0].label == 2  # the class that was damaged


@pytest.mark.parametrize(
    ("dense", "compressed", "kind", "words"),
    [
        (drawn(1, 5, 2, 0), drawn(2, 5, 2, 0), ValueError, "two models"),
        (drawn(2, 5, 2, 0), drawn(2, 6, 2, 0), ValueError, "5 and 6 images"),
        (drawn(2, 5, 2, 0)[:, :0], drawn(2, 5, 2, 0), ValueError, "n >= 1"),
        (drawn(2, 5, 2, 0).float(), drawn(2, 5, 2, 0), TypeError, "class numbers"),
        (drawn(2, 5, 2, 0) - 1, drawn(2, 5, 2, 0), ValueError, "got -1"),
    ],
)
def test_bad_populations_are_named(dense, compressed, kind, words):
    with pytest.raises(kind, match=words):
        identified_exemplars(dense, compressed)


def test_labels_outside_the_classes_are_named():
    with pytest.raises(ValueError, match=r"0\.\.1, got up to 2"):
        class_damage(drawn(2, 50, 3, 0), drawn(2, 50, 3, 1), drawn(1, 50, 2, 2)[0], 2)
    with pytest.raises(ValueError, match="one true label"):
        class_damage(drawn(2, 50, 2, 0), drawn(2, 50, 2, 1), drawn(1, 49, 2, 2)[0], 2)
