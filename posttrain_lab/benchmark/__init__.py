"""The benchmark: is a kernel right, how fast is it here, and how fast are others? Behind `posttrain-lab bench`.

| file          | what it is                                                            |
|---------------|-----------------------------------------------------------------------|
| `rows.py`     | the races and their targets, as data                                  |
| `problems.py` | the numbers of a race, and the results that are right                 |
| `peers.py`    | what runs in a race: our kernels, torch, scipy, onnxruntime           |
| `probe.py`    | peers that may crash are tried in another process first               |
| `timing.py`   | equality first, then interleaved timing                               |
| `machine.py`  | what this machine can do at most, measured now                        |
| `verdicts.py` | measured ratios against the targets                                   |
| `report.py`   | CSV file and tables for a terminal                                    |
| `page.py`     | one HTML page with the roofline                                       |
| `run.py`      | all of it, in order                                                   |

Importing this loads nothing heavy.
"""
