"""Write files/checksums.json again: `python -m posttrain_lab.making.checksums`, after a shipped file was made again."""

import hashlib
import json

from posttrain_lab.data.files import FILES

SHIPPED = (".npz", ".safetensors", ".csv")


def main() -> None:
    found = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(FILES.iterdir()) if p.suffix in SHIPPED}
    (FILES / "checksums.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
