"""Is a model as sure as it is right, and what would make it so?"""

from delineate.evaluation.calibration.assessment import calibrate
from delineate.evaluation.calibration.reliability import Reliability
from delineate.evaluation.calibration.report import CalibrationReport, CalibrationRules
from delineate.evaluation.calibration.temperature import Temperature, tempered

__all__ = ["CalibrationReport", "CalibrationRules", "Reliability", "Temperature", "calibrate", "tempered"]
