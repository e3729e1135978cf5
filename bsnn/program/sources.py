"""The child process that writes the sources of a program.

``python -m bsnn.program.sources MODULE SPECIFICATION FOLDER`` calls `write_sources` of
a target's module.
"""

import importlib
import sys

from bsnn.processes.brian2_files import import_brian2

if __name__ == "__main__":
    module, *arguments = sys.argv[1:]
    import_brian2()  # before anything else of bsnn does
    importlib.import_module(module).write_sources(*arguments)
