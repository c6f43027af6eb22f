"""Names of files as Moodle, Canvas and nbgrader write them, each with the student that the roster knows."""

import pytest

from posttrain_lab.grading.collecting.archives import File, parts_of
from posttrain_lab.grading.collecting.platforms import owner_of
from posttrain_lab.grading.collecting.roster import Roster, Student

UNIT = "02_quantization"
ROSTER = Roster(
    [
        Student("ann", "Ann", "O'Neil-Smith", "ann@x.org", canvas_id="341", moodle_id="77"),
        Student("zoe", "Zoë Maria", "Ångström", "zoe@x.org", canvas_id="342"),
        Student("li1", "Wei", "Li", "li1@x.org", moodle_id="79"),
        Student("li2", "Wei", "Li", "li2@x.org", canvas_id="344"),
    ]
)
NAMES = {
    # Moodle: folders (with and without the last mark), one folder for all, blind marking, text typed online
    "Ann O'Neil-Smith_901_assignsubmission_file_/02.ipynb": ("ann", "02.ipynb"),
    "Ann O'Neil-Smith_901_assignsubmission_file/sub/02.ipynb": ("ann", "sub/02.ipynb"),
    "Zoë Maria Ångström_902_assignsubmission_file_my work_1.ipynb": ("zoe", "my work_1.ipynb"),
    "Participant_77_assignsubmission_file/02.ipynb": ("ann", "02.ipynb"),
    "Wei Li_79_assignsubmission_file/02.ipynb": ("li1", "02.ipynb"),
    "Wei Li_80_assignsubmission_file/02.ipynb": (None, "02.ipynb"),
    "Participant_80_assignsubmission_file/02.ipynb": (None, "02.ipynb"),
    "Nobody_5_assignsubmission_file/02.ipynb": (None, "02.ipynb"),
    # Canvas
    "oneilsmithann_341_9001_02_quantization.ipynb": ("ann", "02_quantization.ipynb"),
    "oneilsmithann_LATE_341_9001_02_quantization-1.ipynb": ("ann", "02_quantization-1.ipynb"),
    "ångströmzoëmaria_999_9001_a_1_2_b.ipynb": ("zoe", "a_1_2_b.ipynb"),
    "liwei_344_9001_02.ipynb": ("li2", "02.ipynb"),
    "liwei_345_9001_02.ipynb": (None, "02.ipynb"),
    "anon_xY3zq_9001_02.ipynb": (None, "02.ipynb"),
    "LATE_anon_xY3zq_9001_02.ipynb": (None, "02.ipynb"),
    # nbgrader's exchange, and what instructors make
    "ann+02_quantization+2026-11-24 10:15:00.123456 UTC+xyz/02_quantization.ipynb": ("ann", "02_quantization.ipynb"),
    "ann+02_quantization+2026-11-24 10:15:00 UTC/data/a.csv": ("ann", "data/a.csv"),
    "ann/02_quantization/02_quantization.ipynb": ("ann", "02_quantization.ipynb"),
    "zoe@x.org/x.ipynb": ("zoe", "x.ipynb"),
    "ann.ipynb": ("ann", "02_quantization.ipynb"),
    "02_quantization_ann.ipynb": ("ann", "02_quantization.ipynb"),
    "Zoë Maria Ångström.ipynb": ("zoe", "02_quantization.ipynb"),
    "bob.ipynb": (None, "02_quantization.ipynb"),
}


@pytest.mark.parametrize("name", NAMES)
def test_the_owner_of_a_file(name):
    owner = owner_of(File(parts_of(name)), UNIT, ROSTER)
    assert owner is not None
    assert (owner.student and owner.student.student_id, "/".join(owner.path)) == NAMES[name]
    assert owner.late == ("LATE" in name)


def test_times_are_the_exchange_s():
    owner = owner_of(File(("ann+02_quantization+2026-11-24 10:15:00.123456 UTC+x", "a.ipynb")), UNIT, None)
    assert (owner.called, owner.student.student_id, owner.time) == ("ann", "ann", "2026-11-24 10:15:00.123456 UTC")


def test_another_unit_of_the_exchange_is_left_out():
    assert owner_of(File(("ann+01_pruning+2026-11-24 10:15:00 UTC+x", "01.ipynb")), UNIT, None) is None


def test_text_typed_online_is_no_file():
    assert owner_of(File(("Ann_1_assignsubmission_onlinetext", "onlinetext.html")), UNIT, ROSTER).typed


@pytest.mark.parametrize("name", ["*", "a[b]", ".hidden", "-", "a b", "ann-2"])
def test_without_a_roster_only_plain_names_are_students(name):
    student = owner_of(File((name, "02.ipynb")), UNIT, None).student
    assert (student is not None) == (name == "ann-2")
