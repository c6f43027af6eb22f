"""The units of the course, listed once: README's table, the index page, the glossary, the checks and the commands derive from here.

What depends on the exercises (their number, minutes and points) is not written here: it is counted, see `grading/overview.py`.
"""

import math
from dataclasses import dataclass

WRITING = 8  # minutes for a paragraph of 120 words


@dataclass(frozen=True)
class Beside:
    """What is graded beside the exercises, as the sheet of patients in unit 11: its minutes and its points."""

    minutes: int = 0
    points: int = 0


@dataclass(frozen=True)
class CourseUnit:
    """One unit: `folder` in solutions/ and course/, `module` in `posttrain_lab.checks`, what its page is called and what one does.

    `reading` is the minutes for the text and the figures, about one for 200 words.

    >>> unit = CourseUnit("02_quantization", "quantization", "Quantization: four times smaller?", "integers instead of floats", reading=25)
    >>> unit.heading, unit.name
    ('02 Quantization: four times smaller?', '02 Quantization')
    """

    folder: str
    module: str
    title: str
    does: str
    reading: int
    beside: Beside = Beside()

    @property
    def heading(self) -> str:
        """The first heading of the unit's page: its number and its title."""
        return f"{self.folder.partition('_')[0]} {self.title}"

    @property
    def name(self) -> str:
        """The heading up to its colon."""
        return self.heading.partition(":")[0]

    def minutes(self, exercises: int) -> int:
        """The minutes that a page states for the whole unit: its exercises and what is graded beside them, the reading, and the
        paragraph at its end, rounded up to the next 5.

        >>> UNITS[0].minutes(exercises=31)
        50
        """
        return math.ceil((exercises + self.beside.minutes + self.reading + WRITING) / 5) * 5


UNITS = (
    CourseUnit(
        "00_start_here",
        "start_here",
        "Start here: measure before you change",
        "measure a network before you change it",
        reading=10,
    ),
    CourseUnit(
        "01_pruning",
        "pruning",
        "Pruning: most weights can go. Is the network faster then?",
        "remove weights and channels, and find out when that is faster",
        reading=30,
    ),
    CourseUnit(
        "02_quantization",
        "quantization",
        "Quantization: four times smaller, and how much worse?",
        "integers instead of floats, from one number to a whole network",
        reading=25,
    ),
    CourseUnit(
        "03_fine_tuning",
        "finetuning",
        "Fine-tuning: a new task from few labels, and what is forgotten",
        "adapt a trained network to a new task with few labels",
        reading=20,
    ),
    CourseUnit(
        "04_calibration",
        "calibration",
        "Calibration: when the model says 90 %, is it right nine times in ten?",
        "correct confidences, and decide with them",
        reading=25,
    ),
    CourseUnit(
        "05_cpu_kernels",
        "cpu_kernels",
        "CPU kernels: the product that the network runs on",
        "write the integer product that the network runs on",
        reading=20,
    ),
    CourseUnit(
        "06_gpu_kernels",
        "gpu_kernels",
        "GPU kernels: how often does a chip read the same number?",
        "the same for a GPU; you do not need to have one",
        reading=20,
    ),
    CourseUnit(
        "07_auditing",
        "auditing",
        "Auditing: what has a smaller network forgotten, what does it look at, and can it be fooled?",
        "ask what accuracy hides: forgotten classes, false reasons, attacks",
        reading=27,
    ),
    CourseUnit(
        "08_deployment",
        "deployment",
        "Deployment: can your own network run on a phone, on a chip, and inside a budget?",
        "run your own network on a phone, on a chip, in a runtime, inside a budget",
        reading=25,
    ),
    CourseUnit(
        "11_clinic",
        "clinic",
        "Clinic: a run that finishes and looks healthy. Is it?",
        "write nine instruments, and find what fails silently in twelve runs",
        reading=20,
        beside=Beside(minutes=90, points=60),
    ),
    CourseUnit(
        "12_project_edge",
        "edge",
        "Edge project: which network reads the belt's camera, in 12,000 bytes?",
        "fit a network for a bad camera into a chip, and hand it in for a hidden evaluation",
        reading=11,
        beside=Beside(minutes=240, points=6),
    ),
)

# For the first page: so much time, and the units for it, each with the part that fits. The day is that of docs/instructor/README.md.
PATHS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("30 minutes", (("00_start_here", ", up to exercise 2"),)),
    ("a day", (("00_start_here", ""), ("02_quantization", ", parts 1 to 4"), ("01_pruning", ", parts 1 and 6"))),
)


def find(folder: str) -> CourseUnit:
    """The unit in this folder. Raises ValueError for another name.

    >>> find("02_quantization").module
    'quantization'
    """
    for unit in UNITS:
        if unit.folder == folder:
            return unit
    raise ValueError(f"There is no unit {folder!r}; the units are: {', '.join(unit.folder for unit in UNITS)}.")
