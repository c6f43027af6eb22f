"""The three solutions lie in their bands on secret seeds, and what the prototypes of cheats tried brings nothing."""

import functools

import pytest
import torch

from posttrain_lab.comparisons import paired_difference
from posttrain_lab.data import load_fashion
from posttrain_lab.projects.edge import camera, evaluate, photographs, program_of, read_artefact
from posttrain_lab.projects.instances import PUBLIC
from posttrain_lab.projects.standing import band_points
from tests.projects.cheats import FOLDER
from tests.projects.graphs import SOLUTIONS, solution, write

SECRETS = [f"a secret of a class, {year}" for year in range(2026, 2031)]


@functools.cache
def scored(name, secret, part="test", draws=1, folder=SOLUTIONS):
    """One instance of 2,000 photographs: a fifth of what the board takes."""
    return evaluate(program_of(read_artefact(folder / name)), getattr(load_fashion(), part), secret, draws)


@pytest.mark.parametrize("secret", SECRETS)
def test_each_solution_lies_in_its_band(secret):
    naive, good, excellent = (scored(name, secret) for name in ("naive", "good", "excellent"))
    for better, worse, gap in ((good, naive, 0.15), (excellent, good, 0.03)):
        assert paired_difference(worse.brier, better.brier).low > gap
    points = band_points(good.mean, naive.mean, excellent.mean, 20)
    assert 13 < points < 18
    assert naive.ece > good.ece  # its probabilities are for clean pictures


def test_learning_the_public_board_by_heart_wins_there_only():
    public = {name: scored(name, PUBLIC, "validation", 5) for name in ("good", "excellent")}
    cheat = scored("learns_the_public_board", PUBLIC, "validation", 5, FOLDER)
    assert cheat.mean < public["excellent"].mean - 0.05
    for secret in SECRETS[:2]:
        hidden = scored("learns_the_public_board", secret, folder=FOLDER)
        assert paired_difference(hidden.brier, scored("good", secret).brier).low > 0.01


def test_training_on_the_test_part_gains_on_it_and_stays_behind_the_excellent_solution():
    """So hidden photographs are of clothes that are not shipped (`board --clothes`)."""
    cheat, honest = scored("trains_on_the_test_part", SECRETS[0], folder=FOLDER), scored("good", SECRETS[0])
    assert paired_difference(honest.brier, cheat.brier).low > 0
    assert cheat.mean > scored("excellent", SECRETS[0]).mean


def test_being_sure_of_everything_is_scored_and_loses(tmp_path):
    graph, tensors = solution("good")
    last = len(graph["layers"]) - 1
    tensors[f"{last}.scale"] *= 100
    loud = evaluate(program_of(read_artefact(write(tmp_path, graph, tensors))), load_fashion().test, SECRETS[0], 1)
    assert torch.equal(loud.hits, scored("good", SECRETS[0]).hits)
    assert loud.mean > scored("good", SECRETS[0]).mean + 0.05


def test_huge_but_allowed_scales_give_numbers(tmp_path):
    graph, tensors = solution("good")
    last = len(graph["layers"]) - 1
    tensors[f"{last}.scale"].fill_(9e29)
    found = evaluate(program_of(read_artefact(write(tmp_path, graph, tensors))), load_fashion().test, SECRETS[0], 1, 100)
    assert found.brier.isfinite().all()


def test_photographs_repeat_and_differ_between_seeds():
    clothes = load_fashion().validation
    one, again, other = (photographs(clothes, seed, 50) for seed in (3, 3, 4))
    assert torch.equal(one.images, again.images)
    assert torch.equal(one.labels, again.labels)
    assert not torch.equal(one.images, other.images)
    with pytest.raises(ValueError, match="at least 3000 clothes, got 2000"):
        photographs(clothes, 0, 3000)


def test_the_camera_keeps_to_its_brief():
    point = torch.zeros(400, 1, 28, 28)
    point[:, :, 13:15, 13:15] = 1  # its middle is the image's
    seen = camera(point, seed=5)
    assert torch.equal(seen, (seen * 255).round() / 255)
    assert 0 <= seen.min() <= seen.max() <= 1
    bright = seen.clamp_min(0.2) - 0.2  # above the noise
    grid = torch.arange(28.0) - 13.5
    away = [(bright.sum(dim) @ grid).flatten() / bright.sum((1, 2, 3)) for dim in (2, 3)]
    reach = torch.stack(away).abs().amax(1)
    assert ((reach > 1.4) & (reach < 2.6)).all()  # shifts of up to 2 pixels in either direction; the middle does not turn or zoom
    light = camera(torch.full((400, 1, 28, 28), 0.5), seed=6)[:, :, 10:18, 10:18].mean((1, 2, 3)) / 0.5
    assert light.min() > 0.48
    assert 1.1 < light.max() < 1.22
    with pytest.raises(ValueError, match=r"wants pictures \[n, channels, height, width\]"):
        camera(torch.zeros(28, 28), 0)


def test_the_camera_turns_up_to_fifteen_degrees():
    line = torch.zeros(400, 1, 28, 28)
    line[:, :, 13:15, 4:24] = 1
    seen = camera(line, seed=7).squeeze(1).clamp_min(0.25) - 0.25
    grid = torch.arange(28.0)
    weight = seen.sum((1, 2))
    x, y = (seen.sum(1) * grid).sum(1) / weight, (seen.sum(2) * grid).sum(1) / weight
    dx, dy = grid[None, None] - x[:, None, None], grid[None, :, None] - y[:, None, None]
    angle = 0.5 * torch.atan2(2 * (seen * dx * dy).sum((1, 2)), (seen * (dx * dx - dy * dy)).sum((1, 2))).rad2deg()
    assert 13 < angle.abs().max() < 17.5
    assert angle.min() < -10 < 10 < angle.max()
