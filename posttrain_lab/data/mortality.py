"""Who dies within five years? 7,874 people of Olmsted County, Minnesota (R package `survival`, data set `flchain`), shipped.

Real people, real deaths: read `files/flchain_card.md` before you use it for anything but this course. Licence: LGPL >= 2, beside
the data. Left out: the cause of death (unknown at the time of prediction), the year of the sample (it depends on how people were
recruited), the grouping `flc.grp` (it repeats kappa + lambda).
"""

import numpy as np
import torch
from torch import Tensor

from posttrain_lab.data.files import FILES, open_file
from posttrain_lab.data.split import Dataset, Split

HORIZON = 5 * 365  # days
FEATURES = ("age in years", "male", "kappa", "lambda", "creatinine", "creatinine missing", "MGUS")
CLASSES = ("alive after 5 years", "died within 5 years")
SHARES = {"train": 0.4, "calibration": 0.2, "validation": 0.15, "test": 0.25}
CREATININE = FEATURES.index("creatinine")


def _shipped() -> dict[str, np.ndarray]:
    with open_file(FILES / "flchain.npz") as file, np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def known_outcomes() -> tuple[Tensor, Tensor]:
    """Features [n, 7] float32 and labels [n] int64 of all people who died within five years or were followed longer.

    195 people were last seen alive before (censored); their label is unknown, so they are left out, and so are 3 whose
    sample was taken on the day of their death. Unknown creatinine is NaN here. Blood values are as the source gives them.
    """
    table = _shipped()
    died = table["died"] & (table["days"] <= HORIZON)
    known = (died | (table["days"] > HORIZON)) & (table["days"] > 0)
    columns = [
        table["age"],
        table["male"],
        table["kappa"],
        table["lambda"],
        table["creatinine"],
        np.isnan(table["creatinine"]),
        table["mgus"],
    ]
    features = np.stack([column[known].astype(np.float32) for column in columns], axis=1)
    return torch.from_numpy(features), torch.from_numpy(died[known].astype(np.int64))


def split_people(labels: Tensor, seed: int = 0) -> dict[str, Tensor]:
    """Split indices into the four parts of SHARES: disjoint, the same share of deaths in each (to one person)."""
    generator = torch.Generator().manual_seed(seed)
    pieces: dict[str, list[Tensor]] = {name: [] for name in SHARES}
    for c in range(len(CLASSES)):
        members = (labels == c).nonzero().flatten()
        members = members[torch.randperm(len(members), generator=generator)]
        ends = (torch.tensor(list(SHARES.values())).double().cumsum(0) * len(members)).round().long()
        for name, piece in zip(SHARES, members.tensor_split(ends[:-1].tolist()), strict=True):
            pieces[name].append(piece)
    joined = {name: torch.cat(parts) for name, parts in pieces.items()}
    return {name: index[torch.randperm(len(index), generator=generator)] for name, index in joined.items()}


def load_mortality(seed: int = 0) -> Split:
    """The shipped mortality table as a `Split`: parts to train, calibrate, choose and report on.

    A `Split` whose `images` are the features [n, 7] float32 of FEATURES, one row per person, and whose labels are 1 for
    a death within five years. Unknown creatinine takes the median of the known values of the TRAIN part, and a feature
    says that it was missing. Stratified by outcome; `seed` assigns people to parts. Raises FileNotFoundError or ValueError,
    naming the file, when it is missing or damaged.

    >>> split = load_mortality()
    >>> len(split.train), len(split.calibration), len(split.validation), len(split.test)
    (3071, 1534, 1152, 1919)
    """
    features, labels = known_outcomes()
    index = split_people(labels, seed)
    creatinine = features[index["train"], CREATININE]
    median = creatinine[~creatinine.isnan()].median()
    features[:, CREATININE] = features[:, CREATININE].nan_to_num(nan=median.item())
    parts = {name: Dataset(features[i], labels[i], CLASSES) for name, i in index.items()}
    return Split(name="mortality", **parts)
