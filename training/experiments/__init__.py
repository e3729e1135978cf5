"""Trainings, evaluations and sweeps, in run folders that survive being killed."""
