"""The gallery: which examples the build runs, and with which options.

Whoever adds an example adds a row to EXAMPLES; a test asks for it.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from docutils.parsers.rst import Directive, directives

ROOT = Path(__file__).parents[2]
# What cells and commands of the pages leave behind, and trained runs to look at.
WORK = ROOT / "build" / "docs-work"
STUDY = "sweep digits --dt-ms 1 8 --epochs 4 --preset published --out study"
# What other examples import, and a model file, which a page of the guide shows.
WITHOUT_PAGE = (
    "run_table.py",
    "result_table.py",
    "recurrent_model.py",
    "randman_model.py",
    "spoken_digits_model.py",
)


class Example(NamedTuple):
    """How an example is run: small enough for a build of all within minutes.

    `data` names a folder in BSNN_DATA and `package` a library that it needs: without
    them it is only shown, and always so if `never` says why.
    """

    options: str = ""
    data: str = ""
    package: str = ""
    never: str = ""

    @property
    def missing(self):
        """Say why this build does not run it; "" if it does."""
        if self.data and not Path(os.environ.get("BSNN_DATA", ""), self.data).is_dir():
            return f"It needs the data in the folder `{self.data}` of `BSNN_DATA`."
        if self.package and importlib.util.find_spec(self.package) is None:
            return f"It needs the library {self.package}."
        return self.never


EXAMPLES = {
    "adaptive_lif.py": Example("--epochs 6"),
    "convolution.py": Example("--epochs 1 --train 3000", data="mnist"),
    "current_steps.py": Example("--steps 60", data="qsnmc2007-b"),
    "from_brian2.py": Example("--steps 100"),
    "gpu_check.py": Example(never="It needs a GPU."),
    "japanese_vowels.py": Example("--epochs 25", package="aeon"),
    "learned_delays.py": Example(),
    "missing_spikes.py": Example("--epochs 2"),
    "nir_export.py": Example(package="nir"),
    "one_neuron_gradient.py": Example(),
    "pattern_generator.py": Example("--readout-only --epochs 100"),
    "ready_neurons.py": Example("adex --epochs 3"),
    "recorded_neuron.py": Example(never="It needs recordings, and an hour."),
    "saturation.py": Example("study/* --out saturation.csv"),
    "silent_outputs.py": Example("study/* --out silent_outputs.csv"),
    "spike_statistics.py": Example(package="elephant"),
    "spoken_digits.py": Example("--epochs 3", data="fsdd"),
    "spoken_digits_figure.py": Example(
        never="It draws what hours of training left; see the results."
    ),
    "store_recall.py": Example("--epochs 5"),
    "yin_yang.py": Example("--epochs 10"),
    "yin_yang_figure.py": Example(never="It needs the rows of many trainings."),
}


def arguments(_, script):
    """Return what the command line of an example holds after its name."""
    found = []
    for word in EXAMPLES[Path(script["src_file"]).name].options.split():
        below = word.rpartition("/*")[0]
        folders = sorted(WORK.glob(f"{below}/*/")) if below else []
        found += map(str, folders) if below else [word]
    return found


def say_how_it_ran(_, name, source):
    """Put below the title of an example how it was run, or why it was not."""
    file = f"{Path(name).name}.py"
    if Path(name).parent.name != "gallery" or file not in EXAMPLES:
        return
    example = EXAMPLES[file]
    command = f"python examples/{file} {example.options}".strip()
    said = f"What you see is the output of ``{command}``."
    if example.missing:
        said = f"{example.missing} It is shown here without having been run."
    below_title = re.compile(r"^(=+)\n", re.M)
    source[0] = below_title.sub(rf"\1\n\n.. note:: {said}\n\n", source[0], count=1)


def prepare(*_):
    """Make the runs that some examples, and the page of the commands, look at."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    subprocess.run(
        ["bsnn", *STUDY.split()], cwd=WORK, check=True, stdout=subprocess.DEVNULL
    )


class NotRun(Directive):
    """A command of a page, in a build that runs nothing."""

    required_arguments, final_argument_whitespace = 1, True
    option_spec = {"cwd": directives.unchanged, "nostderr": directives.flag}

    def run(self):
        return []


def setup(app):
    if app.tags.has("still"):
        app.add_directive("command-output", NotRun, override=True)
    else:
        app.connect("builder-inited", prepare, priority=100)  # before the examples
    app.connect("source-read", say_how_it_ran)
    return {"parallel_read_safe": True}


_RUN = "|".join(re.escape(f) for f, e in EXAMPLES.items() if not e.missing)
SETTINGS = {
    "examples_dirs": str(ROOT / "examples"),
    "gallery_dirs": "gallery",
    "filename_pattern": rf"/({_RUN})$",
    "ignore_pattern": rf"({'|'.join(map(re.escape, WITHOUT_PAGE))})$",
    "within_subsection_order": "FileNameSortKey",
    "reset_argv": "gallery.arguments",
    # A notebook's own command line holds options of Jupyter.
    "first_notebook_cell": "%matplotlib inline\nimport sys\n\n"
    "sys.argv[1:] = []  # options of the example, such as ['--epochs', '3']",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
    "min_reported_time": 1e9,
    "capture_repr": (),
    "matplotlib_animations": False,
}
