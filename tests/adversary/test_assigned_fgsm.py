import pytest
import torch

from gratis.adversary.assigned_fgsm import AssignedFGSM, assigned_rows

LABELS = torch.tensor([2, 0, 1, 0, 2, 0, 1, 3])


def test_every_source_assigns_as_it_says():
    rows = torch.arange(len(LABELS))
    assert torch.equal(assigned_rows(LABELS, "same"), rows)
    of_class = assigned_rows(LABELS, "same_class")
    assert torch.equal(LABELS[of_class], LABELS)
    assert [int(row) for row in rows if of_class[row] == row] == [7]  # alone in its class
    other = assigned_rows(LABELS, "other_class")
    assert bool((LABELS[other] != LABELS).all())
    for assigned in (of_class, other):
        assert torch.equal(assigned.sort().values, rows)


@pytest.mark.parametrize("seed", range(8))
def test_assignments_hold_for_any_labels(seed):
    labels = torch.randint(5, (50,), generator=torch.Generator().manual_seed(seed))
    of_class, other = (assigned_rows(labels, s) for s in ("same_class", "other_class"))
    assert torch.equal(labels[of_class], labels)
    assert bool((of_class != torch.arange(50)).all())  # no class is alone here
    assert bool((labels[other] != labels).all())


def test_a_class_that_has_most_rows_keeps_its_own():
    labels = torch.tensor([0, 0, 0, 0, 1])
    assigned = assigned_rows(labels, "other_class")
    own = assigned == torch.arange(5)
    assert bool((own | (labels[assigned] != labels)).all())


def test_deltas_are_those_of_the_assigned_images(model, batch_of):
    batch = batch_of(8)

    def signs(source):
        x = AssignedFGSM(epsilon=0.01, source=source).perturb(model, batch, 0.0)
        inside = (batch.views > 0.02) & (batch.views < 0.98)
        return torch.sign(x - batch.views), inside

    (own, inside), (assigned, _), (shared, _) = map(signs, ("same", "same_class", "universal"))
    rows = assigned_rows(batch.labels, "same_class")
    both = inside & inside[rows]
    assert torch.equal(assigned[both], own[rows][both])
    everywhere = inside.all(dim=0)
    assert bool((shared == shared[0])[:, everywhere].all())
