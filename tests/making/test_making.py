"""The scripts that made the shipped files: one way to train, one way to write a table, one folder."""

import importlib
import pkgutil

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from posttrain_lab import making
from posttrain_lab.data import Dataset, Split, files
from posttrain_lab.data.clinic_runs import load_clinic_runs
from posttrain_lab.making import clinic_runs, fine_tuning_quality, label_curves, pruning_quality, training_run
from posttrain_lab.making.tables import write_table
from posttrain_lab.making.training_run import TrainingRun, shift, ship
from posttrain_lab.training import TrainingConfig, train

CONFIG = TrainingConfig(epochs=2, batch_size=8, seed=0)


def split() -> Split:
    """Forty images of two classes, told apart by their brightness."""
    labels = torch.arange(40) % 2
    images = labels[:, None, None, None] * 0.5 + torch.linspace(0, 0.3, 40)[:, None, None, None].expand(-1, 1, 4, 4)
    data = Dataset(images.clone(), labels, ("dark", "light"))
    return Split("toy", data, data, data, data)


def network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 2))


def same(images: Tensor, generator: torch.Generator) -> Tensor:
    return images


def test_every_script_knows_the_folder_of_shipped_files():
    modules = [importlib.import_module(f"posttrain_lab.making.{found.name}") for found in pkgutil.iter_modules(making.__path__)]
    folders = {module.__name__: module.FILES for module in modules if hasattr(module, "FILES")}
    assert set(folders.values()) == {files.FILES}
    assert "posttrain_lab.making.fashion_images" in folders
    assert files.FILES.is_dir()


@pytest.mark.parametrize("stored", [torch.float32, torch.float16])
def test_a_shipped_network_starts_at_seed_0_and_is_counted_as_stored(tmp_path, monkeypatch, capsys, stored):
    monkeypatch.setattr(training_run, "FILES", tmp_path)
    toy = split()
    ship("toy", TrainingRun(network, CONFIG, same, stored), toy.train.images, toy.train.labels, toy)
    found = load_file(tmp_path / "toy.safetensors")
    torch.manual_seed(0)
    wanted, losses = train(network(), toy.train.images, toy.train.labels, CONFIG, same, progress=False)
    assert {key: (value.dtype, value.tolist()) for key, value in found.items()} == {
        key: (stored, value.to(stored).tolist()) for key, value in wanted.state_dict().items()
    }
    wanted.load_state_dict(found)
    hits = int((wanted(toy.test.images).argmax(1) == toy.test.labels).sum())
    assert capsys.readouterr().out.splitlines() == [
        f"toy: 40 images, {CONFIG}",
        f"mean training loss of each epoch: {losses[0]:.4f} {losses[1]:.4f}",
        f"validation: {hits} of 40 right = {hits / 40:.4f}",
        f"test: {hits} of 40 right = {hits / 40:.4f}",
    ]


def test_shifted_images_move_together_by_two_pixels_at_most():
    images = torch.zeros(3, 1, 28, 28)
    images[:, :, 14, 14] = torch.tensor([1.0, 2.0, 3.0])[:, None]
    seen = set()
    for seed in range(60):
        moved = shift(images, torch.Generator().manual_seed(seed))
        places = moved[:, 0].flatten(1).argmax(1)
        assert moved.amax((1, 2, 3)).tolist() == [1.0, 2.0, 3.0]
        assert len(set(places.tolist())) == 1
        seen.add((int(places[0]) // 28 - 14, int(places[0]) % 28 - 14))
    assert {dy for dy, _ in seen} == {dx for _, dx in seen} == {-2, -1, 0, 1, 2}


def test_a_table_has_its_columns_in_order_and_gaps_where_there_is_nothing(tmp_path):
    write_table(tmp_path / "t.csv", ["b", "a"], [{"a": 1, "b": "x, y"}, {"b": ""}])
    assert (tmp_path / "t.csv").read_bytes() == b'b,a\n"x, y",1\n,\n'
    with pytest.raises(ValueError, match="dict contains fields not in fieldnames"):
        write_table(tmp_path / "t.csv", ["a"], [{"b": 1}])


def test_the_shipped_tables_are_what_their_scripts_write(tmp_path, monkeypatch):
    before = {name: (files.FILES / name).read_bytes() for name in ("pruning_quality.csv", fine_tuning_quality.NAME)}
    table, rows = pruning_quality.read(), fine_tuning_quality.read()
    monkeypatch.setattr(pruning_quality, "TABLE", tmp_path / "pruning_quality.csv")
    monkeypatch.setattr(fine_tuning_quality, "FILES", tmp_path)
    monkeypatch.setattr(label_curves, "FILES", tmp_path)
    monkeypatch.setattr(label_curves, "runs", label_curves_as_shipped)
    pruning_quality.write(table)
    fine_tuning_quality.write(rows)
    monkeypatch.setattr(clinic_runs, "FILES", tmp_path)
    label_curves.main()
    clinic_runs.write(load_clinic_runs())
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    assert (tmp_path / label_curves.NAME).read_bytes() == (files.FILES / label_curves.NAME).read_bytes()
    assert (tmp_path / clinic_runs.NAME).read_bytes() == (files.FILES / clinic_runs.NAME).read_bytes()


def label_curves_as_shipped() -> list[label_curves.LabelRun]:
    from posttrain_lab.data.label_curves import load_label_curves

    return list(load_label_curves())
