"""`emit_dense`: what every exercise must do, an independent right answer (the library's own text), and students' own lines."""

import pytest

from posttrain_lab.checks.deployment import emit_dense
from posttrain_lab.deployment import c99
from tests.checks.exercise_tests import ExerciseTests

BODY = """int32_t sum = {name}_bias[o];
for (int32_t i = 0; i < {k}; i++) sum += x[i] * {name}_weight[o * {k} + i];
int64_t p = (int64_t)sum * {name}_multiplier[o] + ((int64_t)1 << ({name}_shift[o] - 1));
p = (p >> {name}_shift[o]) + {zero};
y[o] = (int8_t)(p < {low} ? {low} : p > {high} ? {high} : p);
"""


class TestEmitDense(ExerciseTests):
    exercise = emit_dense
    independent = staticmethod(c99.emit_dense)

    @pytest.mark.parametrize(
        ("right", "written", "mistake"),
        [
            ("((int64_t)1 << ({name}_shift[o] - 1))", "(int64_t)1 << ({name}_shift[o] - 1)", "half without brackets"),
            ("(p >> {name}_shift[o]) + {zero}", "p >> {name}_shift[o] + {zero}", "zero point within the shift"),
            ("(int64_t)sum * ", "sum * ", "int32 product"),
            ("o * {k} + i", "i * {out} + o", "by columns of rows"),
            ("i < {k}", "i <= {k}", "one input too far"),
        ],
    )
    def test_what_a_student_wrote_is_named(self, right, written, mistake):
        assert right in BODY

        def answer(name, weight, bias, multiplier, shift, limits):
            (out, k), (zero, low, high) = weight.shape, limits
            known = {"name": name, "out": out, "k": k, "zero": zero, "low": low, "high": high}
            arrays = {"weight": ("int8_t", weight), "bias": ("int32_t", bias), "multiplier": ("int32_t", multiplier)}
            head = "".join(
                f"static const {kind} {name}_{key}[] = {{{', '.join(map(str, array.flatten().tolist()))}}};\n"
                for key, (kind, array) in (arrays | {"shift": ("int8_t", shift)}).items()
            )
            loop = f"for (int32_t o = 0; o < {out}; o++) {{\n{BODY.replace(right, written).format(**known)}}}\n"
            return head + f"void {name}(const int8_t *x, int8_t *y) {{\n{loop}}}\n"

        verdict = self.checked(answer, (0,))
        assert (verdict.passed, verdict.mistake) == (False, mistake), verdict.message
