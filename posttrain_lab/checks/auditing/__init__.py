"""The exercises of unit 07, in the notebook's order; each stands in the module with its name."""

from posttrain_lab.checks.auditing.certified_radius import certified_radius
from posttrain_lab.checks.auditing.class_damage import class_damage
from posttrain_lab.checks.auditing.fgsm import fgsm
from posttrain_lab.checks.auditing.identified_exemplars import identified_exemplars
from posttrain_lab.checks.auditing.integrated_gradients import integrated_gradients
from posttrain_lab.checks.auditing.mcnemar import mcnemar
from posttrain_lab.checks.auditing.occlusion import occlusion
from posttrain_lab.checks.auditing.pgd import pgd
from posttrain_lab.checks.auditing.rank_agreement import rank_agreement
from posttrain_lab.checks.auditing.straight_through import straight_through
from posttrain_lab.checks.auditing.worst_case_accuracy import worst_case_accuracy

EXERCISES = (
    mcnemar,
    identified_exemplars,
    class_damage,
    integrated_gradients,
    occlusion,
    rank_agreement,
    fgsm,
    pgd,
    straight_through,
    worst_case_accuracy,
    certified_radius,
)
