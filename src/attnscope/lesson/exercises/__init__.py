"""The ten exercises: questions, right results and misconceptions. check() loads one file at a time."""
