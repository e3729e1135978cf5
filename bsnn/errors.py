"""Errors that a caller may want to catch; bad values raise ValueError or TypeError."""


class BsnnError(Exception):
    """Base of the errors below."""


class BuildError(BsnnError):
    """Generating or compiling a program failed; `output` is what the compiler said."""

    def __init__(self, message, output=""):
        super().__init__(f"{message}\n{output.strip()}" if output.strip() else message)
        self.output = output


class ProgramError(BsnnError):
    """A running program died or broke the protocol; `stderr` is what it left."""

    def __init__(self, message, stderr=""):
        super().__init__(f"{message}\n{stderr.strip()}" if stderr.strip() else message)
        self.stderr = stderr


class BackendUnavailable(BsnnError):
    """A compiler, device or package that the chosen backend needs is missing."""


class ModelFileError(BsnnError):
    """A file that should define a network cannot be read or executed, or does not."""


class DataError(BsnnError):
    """A data set is missing, damaged or inconsistent."""


class NumbersError(BsnnError, ValueError):
    """Weights or gradients are not finite; the last checkpoint stands."""


class RunFolderError(BsnnError):
    """A run folder cannot be written, or does not hold what was asked of it."""
