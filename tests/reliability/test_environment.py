"""The same result in any folder, under any name, and with any environment variables."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bsnn import folders
from bsnn.builds import cache_dir
from bsnn.cli.arguments import make_parser
from bsnn.errors import ProgramError
from bsnn.inputs.datasets import data_folder
from bsnn.machine import n_cores
from bsnn.processes.brian2_files import import_brian2
from bsnn.processes.children import python_command, python_environment, tool_environment
from bsnn.processes.tasks import call_apart
from bsnn.program.build import generate, specify
from bsnn.program.graph_specification import specify as specify_network
from tests.models import grid_model
from tests.neurons import all_neurons

ROOT = Path(__file__).parents[2]
FOLDERS = ("analysis", "bsnn", "equations", "training")
# A make, a shell and a compiler each read some of these as their own.
NAME = "a b'c\"d#e$f%g\\h;é\n"
MODULES = "bsnn brian2 filelock json matplotlib numpy pandas queue random torch triton"
SWEEP = "sweep digits --dt-ms 4 --epochs 1 --n-train 100 --n-test 50 --out".split()
# Preferences that change generated programs, and a line that is none.
PREFERENCES = "codegen.loop_invariant_optimisations = False\nno preference\n"


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """A working folder of a strange name, full of what imports would find in it."""
    folder = tmp_path / NAME
    home = folder / "home"
    (home / ".brian").mkdir(parents=True)
    for name in MODULES.split():
        (folder / f"{name}.py").write_text(f"raise SystemExit('the wrong {name}')")
    for name in FOLDERS[:1] + FOLDERS[2:]:
        (folder / name).mkdir()
    (home / ".brian" / "user_preferences").write_text(PREFERENCES)
    (folder / "brian_preferences").write_text(PREFERENCES)
    (folder / "matplotlibrc").write_text("lines.linewidth: 30\nno.such.key: 3\n")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(home))
    return folder


def run_bsnn(*arguments, **options):
    return subprocess.run(
        # As the console script, which has no working folder on its path.
        python_command("-m", "bsnn", *map(str, arguments)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        **options,
    )


def results(out):
    """Everything that a sweep or its figures leave, but the seconds it took."""
    left = {}
    for path in sorted(out.rglob("*.csv")):
        rows = [line.split(",") for line in path.read_text().splitlines()]
        drop = rows[0].index("seconds") if "seconds" in rows[0] else None
        left[path.name] = [[v for k, v in enumerate(r) if k != drop] for r in rows]
    for path in sorted((*out.rglob("*.npz"), *out.rglob("*.png"))):
        left[path.name] = path.read_bytes()
    return left


@pytest.mark.cpp
@pytest.mark.slow
def test_neither_folder_nor_variables_change_a_result(hostile, tmp_path):
    plain = tmp_path / "plain"
    plain.mkdir()
    run = run_bsnn(*SWEEP, plain / "out", cwd=plain)
    assert run.returncode == 0, run.stderr
    compiler = hostile / "my compiler"
    compiler.symlink_to(shutil.which("g++"))
    (hostile / "include").mkdir()
    for name in ("network.h", "objects.h", "prelude.h"):
        (hostile / "include" / name).write_text("#error the wrong header\n")
    (hostile / "tmp").mkdir()
    environment = {
        **os.environ,
        "BSNN_CACHE": "~/cache",
        "CPATH": str(hostile / "include"),
        "CXX": str(compiler),
        "CXXFLAGS": "-no-such-option",
        "GNUMAKEFLAGS": "-n",
        "LC_ALL": "C",
        "MAKEFLAGS": "n",
        "MPLBACKEND": "module://no_such.backend",
        "PYTHONHASHSEED": "7",
        "PYTHONIOENCODING": "ascii:strict",
        "PYTHONOPTIMIZE": "2",
        "PYTHONUTF8": "0",
        "TMPDIR": str(hostile / "tmp"),
        "VPATH": str(hostile / "include"),
    }
    run = run_bsnn(*SWEEP, "out", env=environment)
    assert run.returncode == 0, run.stderr
    assert "\\u2013" in run.stdout  # the dash of a level that is never reached
    assert (hostile / "home" / "cache" / "programs").is_dir()
    assert not (hostile / "~").exists()
    assert results(hostile / "out") == results(plain / "out")

    assert run_bsnn("plot", "out", cwd=plain).returncode == 0
    run = run_bsnn("plot", "out", env=environment)
    assert run.returncode == 0, run.stderr
    figures = results(plain / "out" / "figures")
    assert any(name.endswith(".png") for name in figures)
    assert results(hostile / "out" / "figures") == figures


def test_a_working_folder_that_is_gone_is_one_message(tmp_path):
    script = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
    for option in ("-P", "-q"):  # with and without the working folder on the path
        command = [sys.executable, option, "-m", "bsnn", *SWEEP, str(tmp_path / "out")]
        run = subprocess.run(
            ["sh", "-c", script, "sh", *command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert run.returncode == 1
        expected = "bsnn: the working folder is gone (No such file or directory); "
        assert run.stderr == expected + "change to another one.\n"


def test_python_m_bsnn_is_the_console_command_in_any_folder(tmp_path):
    for name in ("argparse", "json", "signal", "tempfile"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong one')")
    command = [sys.executable, "-m", "bsnn", "train", "--help"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "bsnn train" in run.stdout


def test_brian2_is_imported_as_it_comes(hostile):
    code = """
import os, sys
here, home = os.getcwd(), os.environ["HOME"]
from bsnn.processes.brian2_files import import_brian2
import_brian2()
from brian2 import prefs
assert prefs.codegen.loop_invariant_optimisations
assert (os.getcwd(), os.environ["HOME"]) == (here, home)
assert not {"matplotlib", "pylab"} & set(sys.modules)
"""
    environment = {
        **python_environment(),
        "MPLBACKEND": "module://no_such.backend",
        "PYTHONWARNINGS": "error",
    }
    command = python_command("-c", code)
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["target", "graph"])
def test_preferences_do_not_change_a_program(kind, hostile, tmp_path, monkeypatch):
    if kind == "graph":
        network = all_neurons(names=["coba_lif"])
        specification = specify_network(network, precision="double", learn={})
    else:
        model = grid_model()
        specification = specify(model, precision="double", projection="dense")

    def texts(folder):
        folder.mkdir()
        generate(f"bsnn.targets.cpp.{kind}", specification, folder)
        return {p.name: p.read_text() for p in folder.rglob("*.cpp")}

    found = texts(tmp_path / "found")
    monkeypatch.setenv("HOME", str(tmp_path))  # without preferences
    assert found == texts(tmp_path / "expected")


def test_brian2_that_is_there_already_stays(monkeypatch):
    import matplotlib

    import_brian2()
    assert sys.modules["matplotlib"] is matplotlib


@pytest.mark.parametrize("variable", ["BSNN_CACHE", "BSNN_DATA"])
def test_a_tilde_is_the_home_folder(variable, tmp_path, monkeypatch):
    folder = {"BSNN_CACHE": cache_dir, "BSNN_DATA": lambda: data_folder()[0]}[variable]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for value, expected in {
        "~/x": tmp_path / "home" / "x",
        "x": tmp_path / "x",
        "/x y": Path("/x y"),
    }.items():
        monkeypatch.setenv(variable, value)
        assert folder() == expected
    monkeypatch.setenv(variable, "~no-such-user/x")
    with pytest.raises(ValueError, match=f"(?s)home folder in .* folder in {variable}"):
        folder()
    monkeypatch.setenv(variable, "")  # as if it were not set
    assert str(folder()).startswith(str(tmp_path / "home" / ".cache" / "bsnn"))
    monkeypatch.delenv("HOME")
    assert folder().is_absolute()  # of the system's list of users
    # What some versions say where that list does not know the user.
    for cache in ("~/.cache/bsnn", "cache/bsnn"):
        monkeypatch.setattr(
            folders.platformdirs, "user_cache_path", lambda _, cache=cache: Path(cache)
        )
        monkeypatch.setattr(Path, "expanduser", lambda path: path)
        with pytest.raises(ValueError, match=f"must be an absolute.* in {variable}"):
            folder()


def test_a_tilde_in_an_argument_is_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    arguments = make_parser().parse_args(["train", "digits", "--out=~/run"])
    assert arguments.out == Path("/somewhere/run")


@pytest.mark.parametrize("text", ["abc", "0", "-1", "1.5", "²"])
def test_a_number_of_threads_that_is_none_is_refused(text, monkeypatch):
    monkeypatch.setenv("BSNN_THREADS", text)
    with pytest.raises(ValueError, match=r"'BSNN_THREADS' must be a whole number.*got"):
        n_cores()


def test_the_number_of_threads_is_that_of_the_variable_or_the_cores(monkeypatch):
    monkeypatch.setenv("BSNN_THREADS", " 3 ")
    assert n_cores() == 3
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {4, 7})
    for nothing in ("", " "):
        monkeypatch.setenv("BSNN_THREADS", nothing)
        assert n_cores() == 2


def test_children_take_no_orders_but_where_modules_are(monkeypatch):
    for name in ("OPTIMIZE", "WARNINGS", "INSPECT", "STARTUP"):
        monkeypatch.setenv(f"PYTHON{name}", "1")
    monkeypatch.setenv("PYTHONPATH", ":/one::/two:")
    monkeypatch.setenv("MAKEFLAGS", "n")
    monkeypatch.setenv("BSNN_TEST", "stays")
    python, tool = python_environment(), tool_environment()
    assert python["PYTHONPATH"] == "/one:/two"
    assert {name for name in python if name.startswith("PYTHON")} <= {
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONHASHSEED",
        "PYTHONIOENCODING",
        "PYTHONPATH",
        "PYTHONSAFEPATH",
        "PYTHONUTF8",
    }
    assert "MAKEFLAGS" not in tool
    assert (python["BSNN_TEST"], tool["BSNN_TEST"]) == ("stays", "stays")
    monkeypatch.setenv("PYTHONPATH", ":")
    assert "PYTHONPATH" not in python_environment()


def divide(one, other):
    print("dividing")
    return one / other, os.environ.get("OMP_NUM_THREADS")


def test_a_call_apart_needs_no_guarded_script(hostile, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert call_apart(divide, 1, 2) == (0.5, "5")
    with pytest.raises(ProgramError, match=r"(?s)ZeroDivisionError.*dividing"):
        call_apart(divide, 1, 0)


def test_a_script_without_a_guard_can_start_children(tmp_path):
    """What starts processes by running the script again would never end."""
    script = tmp_path / "script.py"
    script.write_text("""
from bsnn.processes.tasks import call_apart
import os
print(os.getpid() != call_apart(os.getpid))
""")
    run = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, cwd=tmp_path
    )
    assert run.stdout == "True\n", run.stderr


def calls(name):
    """Yield (path, call) for each call of a function or method of that name."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call):
                    function = node.func
                    if name == getattr(function, "id", getattr(function, "attr", None)):
                        yield path, node


def keywords(call):
    return {keyword.arg for keyword in call.keywords}


def test_text_is_read_and_written_in_one_encoding():
    found = 0
    for name in ("read_text", "write_text"):
        for path, call in calls(name):
            n_before = name == "write_text"  # the text itself
            named = len(call.args) > n_before or "encoding" in keywords(call)
            assert named, f"{path}:{call.lineno} leaves the encoding to the locale"
            found += 1
    for name in ("open", "NamedTemporaryFile", "TemporaryFile"):
        for path, call in calls(name):
            words = [a.value for a in call.args if isinstance(a, ast.Constant)]
            text = "r" in words or "w" in words or "w+" in words
            named = {"encoding", "closefd", None} & keywords(call)
            assert not text or named, f"{path}:{call.lineno}"
            found += 1
    for name in ("run", "Popen"):
        for path, call in calls(name):
            assert "text" not in keywords(call), f"{path}:{call.lineno}"
    assert found > 20


def test_only_one_place_knows_how_python_is_started():
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text("utf-8")
            if path.name not in ("children.py", "doctor.py"):
                assert "sys.executable" not in text, path
            assert "get_context" not in text and "ProcessPool" not in text, path


def test_generated_text_does_not_depend_on_the_order_of_sets(monkeypatch):
    """Sets of texts have another order in each process; the seed of ours is fixed."""
    monkeypatch.setenv("PYTHONHASHSEED", "random")
    code = "print(list({'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'}))"
    orders = {
        subprocess.run(
            python_command("-c", code), env=python_environment(), capture_output=True
        ).stdout
        for _ in range(4)
    }
    assert len(orders) == 1
