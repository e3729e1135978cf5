"""Structs that Python and C++ share are those of the C++ text."""

import ctypes

import pytest

from bsnn.kernels import load_kernel, struct

SOURCE = """
// struct Pair { double commented; };
struct Pair {
    int64_t n;  // of the numbers; not of anything else
    double scale, offset;
    const double *numbers;
    void *left, *right;
};
extern "C" double affine(const Pair *pair) {
    return pair->scale * pair->numbers[pair->n - 1] + pair->offset;
}
"""


def written(folder, text):
    path = folder / "pair.cpp"
    path.write_text("#include <cstdint>\n" + text)
    return path


@pytest.mark.cpp
def test_a_struct_is_passed_as_it_is_declared(tmp_path):
    source = written(tmp_path, SOURCE)
    pair = struct(source, "Pair")
    assert [name for name, _ in pair._fields_] == [
        *("n", "scale", "offset", "numbers", "left", "right")
    ]
    numbers = (ctypes.c_double * 3)(1, 2, 3)
    affine = load_kernel(source).affine
    affine.restype = ctypes.c_double
    given = pair(n=3, scale=2, offset=0.5, numbers=ctypes.addressof(numbers))
    assert affine(ctypes.byref(given)) == 6.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("struct Other {};", "pair.cpp declares no struct Pair"),
        ("struct Pair { int64_t n; float x; };", "float x is no plain number"),
        ("struct Pair { double x[3]; };", r"double x\[3\] is no plain number"),
    ],
)
def test_other_structs_are_refused(tmp_path, text, words):
    with pytest.raises(ValueError, match=words):
        struct(written(tmp_path, text), "Pair")
