"""Wheels for four platforms, built on one machine and checked there. No part of the package imports this."""
