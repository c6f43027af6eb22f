"""The contract between camera and network: pixels against torch's own pooling, and nine mistakes that are found."""

import pytest
import torch
from torch.nn import functional as F

from posttrain_lab.data import load_fashion
from posttrain_lab.deployment.preprocess import MISTAKES, RIGHT, Contract, as_input, contract_of, diagnose, prepare
from posttrain_lab.models import load_pretrained
from tests.deployment.networks import shipped


def photo(*shape, seed=0):
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


@pytest.mark.parametrize("size", [(28, 28), (56, 56), (84, 28 * 3), (61, 61), (20, 20), (1, 1), (479, 479)])
def test_pixels_are_means_as_torch_pools_them(size):
    taken = photo(*size, 3)
    found = prepare(taken, Contract(channels=3)).double()
    want = F.adaptive_avg_pool2d(taken.permute(2, 0, 1).double(), 28).permute(1, 2, 0)
    assert (found - want).abs().max() <= 0.5 + 1e-9
    assert torch.equal(found[(want % 1 - 0.5).abs() > 1e-6], want.round()[(want % 1 - 0.5).abs() > 1e-6])


def test_a_mean_on_a_tie_goes_up():
    taken = torch.tensor([[[1, 3, 254]] * 2, [[2, 4, 255]] * 2], dtype=torch.uint8)
    assert prepare(taken, Contract(size=(1, 1), channels=3)).tolist() == [[[2, 4, 255]]]


def test_grey_weighs_the_colours_as_the_eye_does():
    taken = photo(28, 28, 3)
    want = (taken.double() @ torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)).add(0.5).floor()
    assert torch.equal(prepare(taken, Contract()).double(), want)
    assert torch.equal(prepare(taken.flip(2), Contract(order="BGR")).double(), want)


def test_a_grey_photo_stays_as_it_is():
    image = (255 * load_fashion().validation.images[0, 0]).round().to(torch.uint8)
    assert torch.equal(prepare(image[..., None].expand(28, 28, 3), Contract()), image)


def test_the_middle_of_a_wide_and_of_a_tall_photo():
    wide = torch.zeros(4, 9, 3, dtype=torch.uint8)
    wide[:, 2:6] = 100
    assert prepare(wide, Contract(size=(2, 2))).tolist() == [[100, 100], [100, 100]]
    assert prepare(wide.transpose(0, 1), Contract(size=(2, 2))).tolist() == [[100, 100], [100, 100]]
    assert prepare(photo(50, 50, 3), Contract(size=(10, 40))).shape == (10, 40)


def test_a_lying_photo_is_turned_before_it_is_cut():
    upright = photo(40, 30, 3)
    want = prepare(upright, Contract(size=(4, 3)))
    lying = torch.rot90(upright, 1, (0, 1))  # counterclockwise; one turn clockwise brings it back
    assert lying.shape == (30, 40, 3)
    assert torch.equal(prepare(lying, Contract(size=(4, 3), turns=1)), want)
    assert torch.equal(prepare(torch.rot90(upright, 2, (0, 1)), Contract(size=(4, 3), turns=2)), want)


def test_inverted_is_255_minus_the_pixel():
    assert torch.equal(prepare(photo(28, 28, 3), Contract(inverted=True)), 255 - prepare(photo(28, 28, 3), Contract()))


def test_the_input_of_a_network():
    split = load_fashion().validation
    pixels = (255 * split.images[3, 0]).round().to(torch.uint8)
    assert torch.equal(as_input(pixels, Contract()), split.images[3:4])
    assert as_input(photo(28, 28, 3), Contract(channels=3)).shape == (1, 3, 28, 28)
    with pytest.raises(ValueError, match=r"as_input wants pixels \[28, 28, 1\], got \[27, 28, 1\]"):
        as_input(pixels[1:], Contract())


@pytest.mark.parametrize(
    ("taken", "error", "told"),
    [
        (torch.zeros(0, 640, 3, dtype=torch.uint8), ValueError, "the camera gave none"),
        (torch.zeros(0, dtype=torch.uint8), ValueError, r"wants a photo \[height, width, 3\], got \[0\]"),
        (torch.zeros(9, 9, dtype=torch.uint8), ValueError, r"got \[9, 9\]; make grey ones three equal channels"),
        (torch.zeros(9, 9, 4, dtype=torch.uint8), ValueError, r"got \[9, 9, 4\]"),
        (torch.zeros(9, 9, 3), TypeError, "got torch.float32"),
        ([[1]], TypeError, "got list"),
    ],
)
def test_what_is_no_photo(taken, error, told):
    with pytest.raises(error, match=told):
        prepare(taken, Contract())


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"size": (0, 28)}, "size to be"),
        ({"size": (28,)}, "size to be"),
        ({"channels": 2}, "channels to be 1 or 3"),
        ({"low": 1.0}, "low below high"),
        ({"high": float("nan")}, "low below high"),
        ({"inverted": 1}, "inverted to be"),
        ({"turns": 90}, "turns of 0 to 3"),
        ({"order": "GBR"}, "an order of RGB or BGR"),
    ],
)
def test_a_contract_that_cannot_be(fields, told):
    with pytest.raises(ValueError, match=told):
        Contract(**fields)


def test_a_contract_in_an_artefact():
    made = Contract((3, 5), 3, -1.0, 2.5, True, 2, "BGR")
    assert contract_of(made.as_json()) == made
    for text in ("", "[]", "{}", '{"size": [1, 1], "more": 1}', '{"size": 4}'):
        with pytest.raises(ValueError, match="contract_of wants the JSON"):
            contract_of(text)
    made.check_fits((3, 3, 5))
    with pytest.raises(ValueError, match=r"the contract promises images \[3, 3, 5\], the network wants \[1, 28, 28\]"):
        made.check_fits((1, 28, 28))


@pytest.mark.parametrize(("first", "names"), [(0, [*MISTAKES]), (700, ["blurred", "moved by one pixel", "divided by 256"])])
def test_every_mistake_is_found(first, names):
    part, model = load_fashion().validation, load_pretrained("fashion_cnn")
    images, labels = part.images[first : first + 300], part.labels[first : first + 300]
    assert len(MISTAKES) == 9
    assert diagnose(model, images, labels) == RIGHT
    assert {name: diagnose(model, MISTAKES[name].make(images), labels) for name in names} == {name: name for name in names}


def test_a_mistake_before_the_integers():
    part = load_fashion().validation
    images, labels = part.images[:200], part.labels[:200]
    assert diagnose(shipped("fashion_cnn"), 2 * images - 1, labels) == "pixels -1..1"


def test_a_picture_that_is_not_square_is_never_called_swapped():
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 2))
    assert diagnose(model, torch.rand(4, 1, 2, 3), torch.tensor([0, 1, 0, 1])) != "height and width swapped"
