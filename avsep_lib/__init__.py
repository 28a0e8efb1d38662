"""Visually guided music source separation: the library beside the notebooks."""

__version__ = "0.1.0"
