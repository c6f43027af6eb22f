"""Auditing: what did compression change, what does an answer rest on, and can the model be fooled? Questions that accuracy hides.

exemplars          which images and classes a population of smaller models has forgotten
attribution        what an answer rests on                          sanity    whether such a map says anything about the model
attacks            small changes that make it wrong                 rounding  networks whose rounding hides its gradient, or passes it
certify            a radius within which no change can              robust_training   what helps, and what it costs

Comparisons of two models on the same images are in `posttrain_lab.comparisons`. Everything here can be imported from here.
"""

from .attacks import fgsm, into_ball, margins, pgd, pgd_l2, square_attack, transfer_matrix, uniform_start, worst_case_accuracy
from .attribution import grad_cam, gradient_map, integrated_gradients, linear_shapley, occlusion, smooth_grad
from .certify import ABSTAINED, Certificates, certified_radius, certify, noisy_votes
from .exemplars import Damage, class_damage, damage_tests, identified_exemplars, modal_labels, recalls
from .robust_training import TrainingAttack, adversarial_training, attacked_loss, noisy
from .rounding import Rounding, gradients_hidden, rounded_network, straight_through
from .sanity import average_ranks, cascade, deletion_curve, rank_agreement

__all__ = [
    "ABSTAINED",
    "Certificates",
    "Damage",
    "Rounding",
    "TrainingAttack",
    "adversarial_training",
    "attacked_loss",
    "average_ranks",
    "cascade",
    "certified_radius",
    "certify",
    "class_damage",
    "damage_tests",
    "deletion_curve",
    "fgsm",
    "grad_cam",
    "gradient_map",
    "gradients_hidden",
    "identified_exemplars",
    "integrated_gradients",
    "into_ball",
    "linear_shapley",
    "margins",
    "modal_labels",
    "noisy",
    "noisy_votes",
    "occlusion",
    "pgd",
    "pgd_l2",
    "rank_agreement",
    "recalls",
    "rounded_network",
    "smooth_grad",
    "square_attack",
    "straight_through",
    "transfer_matrix",
    "uniform_start",
    "worst_case_accuracy",
]
