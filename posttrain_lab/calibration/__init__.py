"""Are the confidences of a model right? When it says 0.8, is it right eight times in ten?"""

from posttrain_lab.calibration.errors import expected_calibration_error

__all__ = ["expected_calibration_error"]
