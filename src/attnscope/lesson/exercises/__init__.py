"""The ten exercises, one a file: what is asked, what is right, and how it goes wrong. check() loads one at a time."""
