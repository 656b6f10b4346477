"""What scores, explains and decides: features, models, calibration, evidence, rules and alerts."""
