"""The units that a program is compiled in hold each of its code objects once."""

import subprocess

import pytest

from bsnn.builds import compiler
from bsnn.targets.cpp.units import write_units

ONCE = ["main", "network", "objects", "run", "synapses_classes"]


def write_project(folder, n):
    """Write what Brian2 leaves of code objects that add numbers to a sum."""
    (folder / "code_objects").mkdir()
    names = [f"code_objects/object_{k}" for k in range(n)]
    for k, name in enumerate(names):
        (folder / f"{name}.h").write_text(f"void _run_{k}();\nvoid _before_{k}();\n")
        (folder / f"{name}.cpp").write_text(
            f'#include "{name}.h"\n#include "objects.h"\n# include<cstdlib>\n'
            f"namespace {{\n int value() {{ return {k}; }}\n}}\n"
            f"void _run_{k}()\n{{ total += std::abs(value()); }}\n"
            f"void _before_{k}()\n{{ total -= 1000 * value(); }}\n"
        )
    for name in ONCE:
        (folder / f"{name}.cpp").touch()
    calls = "".join(f" _run_{k}(); _before_{k}();" for k in range(n))
    declared = "".join(f'#include "{name}.h"\n' for name in names)
    expected = sum(k - 1000 * k for k in range(n))
    (folder / "objects.h").write_text("extern int total;\n")
    (folder / "objects.cpp").write_text("int total = 0;\n")
    (folder / "main.cpp").write_text(
        f"{declared}int main() {{{calls} return total != {expected}; }}\n"
    )
    (folder / "other.cpp").write_text("void other() {}\n")
    sources = [f"{name}.cpp" for name in (*names, *ONCE, "other")]
    (folder / "makefile").write_text(f"PROGRAM = main\nSRCS = {' '.join(sources)}\n")


@pytest.mark.parametrize(("n", "n_units"), [(1, 2), (64, 2), (95, 2), (96, 3)])
def test_each_code_object_lies_in_one_unit(n, n_units, tmp_path):
    write_project(tmp_path, n)
    units = write_units(tmp_path)
    assert units[0] == "once.cpp" and units[-1] == "other.cpp"
    assert len(units) == 2 + n_units
    text = "\n".join((tmp_path / unit).read_text() for unit in units)
    for k in range(n):
        assert text.count(f"namespace object_{k} {{") == 1
    assert not any(f'#include "code_objects/object_{k}.cpp"' in text for k in range(n))


@pytest.mark.cpp
def test_units_make_the_program_of_all_files(tmp_path):
    """Functions of one name in several code objects, and two of each to be called."""
    write_project(tmp_path, 5)
    units = write_units(tmp_path)
    command = [*compiler(), "-I.", *units, "-o", "program"]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "program"], check=False).returncode == 0


@pytest.mark.cpp
def test_a_compiler_names_the_file_of_the_code_object(tmp_path):
    write_project(tmp_path, 2)
    path = tmp_path / "code_objects/object_1.cpp"
    path.write_text(path.read_text().replace("return 1", "return unknown"))
    write_units(tmp_path)
    command = [*compiler(), "-I.", "-c", "unit_1.cpp"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "code_objects/object_1.cpp:5:" in run.stderr
