"""`export`: what every exercise must do, an independent right answer (the library's, which exports a copy), and modes left alone."""

import torch

from posttrain_lab.checks.deployment import export
from posttrain_lab.deployment import exported
from tests.checks.exercise_tests import ExerciseTests


class TestExport(ExerciseTests):
    exercise = export
    independent = staticmethod(exported.export)

    def test_who_leaves_the_mode_alone_is_told_of_it_and_of_no_changed_argument(self):
        """The program shares its buffers with the network: in train mode, running it changes them."""

        def as_it_is(model, example):
            return torch.export.export(model, (torch.cat([example] * 2),), dynamic_shapes=({0: torch.export.Dim("n")},))

        verdict = self.checked(as_it_is, (0,))
        assert (verdict.passed, verdict.mistake) == (False, "train mode"), verdict.message
