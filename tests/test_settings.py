"""Settings are declared once: command line, names and tables follow from the fields."""

from dataclasses import MISSING, dataclass, replace
from types import SimpleNamespace

import pytest

from bsnn.cli.arguments import make_parser
from bsnn.equations import time_rules
from bsnn.fields import field, fields_of
from bsnn.program.build import PRECISIONS
from bsnn.runs import CONFIG, RunFolder
from bsnn.settings import SETTINGS, TAGS, Settings, departures
from bsnn.targets.cpp.target import CppTarget
from bsnn.training.experiments.sweep import cell_name
from tests.project.fresh import loaded


@dataclass(frozen=True, kw_only=True)
class Example:
    wait_ms: float = field("how long", 2.0, unit="ms", positive=True)
    sizes: tuple[int, ...] | None = field("how large", None)
    word: str = field("which", choices=("yes", "no"))


EXAMPLE = fields_of(Example)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_has_help_an_option_and_a_place_in_the_config(name):
    setting = SETTINGS[name]
    assert setting.help
    parsed = vars(make_parser().parse_args(["train", "digits"]))
    assert name in parsed
    if name != "dataset":
        assert parsed[name] is None  # the reference settings hold
    assert name in Settings.reference("digits").config()
    assert "_ms" not in name or setting.unit == "ms"


def test_the_command_line_knows_the_settings_without_any_heavy_package():
    assert loaded("import bsnn.settings, bsnn.cli.arguments") == []


def test_settings_make_their_model_without_torch():
    code = "from bsnn.settings import Settings; Settings.reference('digits').config()"
    assert "torch" not in loaded(code)


@pytest.mark.parametrize(
    ("dataset", "ends"),
    [
        ("mnist", (28 * 28, 10)),
        ("fashion-mnist", (28 * 28, 10)),
        ("emnist", (28 * 28, 47)),
        ("digits", (8 * 8, 10)),
        ("yin-yang", (4, 3)),
    ],
)
def test_a_reference_network_takes_the_inputs_and_classes_of_its_data(dataset, ends):
    layers = Settings.reference(dataset).layers
    assert (layers[0], layers[-1]) == ends


def test_words_are_those_of_the_code_that_takes_them():
    for name, words in (
        ("rule", time_rules.RULES),
        ("detect", time_rules.DETECT),
        ("precision", PRECISIONS),
        ("projection", CppTarget.projections),
    ):
        assert set(SETTINGS[name].choices) == set(words)


def test_a_run_departs_in_what_has_a_tag_and_is_not_as_usual():
    usual = Settings.reference("digits").config()
    assert departures(usual) == departures({"preset": "default", "dataset": "digits"})
    assert departures(usual) == {}
    for tag, names in TAGS.items():
        for name in names:
            assert departures({**usual, name: 7}).keys() == {tag}
    assert departures({**usual, "false": 7.0}) == {"targets": [15.0, 7.0]}
    assert departures({**usual, "initial_mean": [0.5, 2]}) == {"mean": [0.5, 2]}


def test_runs_of_another_loss_gradient_or_start_have_other_names():
    """Else one would go on with the other, or their figures would be one line."""
    usual = Settings.reference("digits")
    start = ("initial_mean", "initial_drive")
    gradient = ("estimator", "slope_cap", "surrogate_width", "surrogate_height")
    floor = ("slope_min", "relative_slope_min")
    loss = ("true", "false", "spike_penalty", "latency_weight", "latency_tau_ms")
    told = {*start, *gradient, *floor, *loss, "validation", "max_shift"}
    assert {name for names in TAGS.values() for name in names} == told
    for name, value in {
        **{"estimator": "arctan", "true": 16.0, "false": 2.0, "validation": 0.3},
        **{"spike_penalty": 0.5, "latency_weight": 0.5, "latency_tau_ms": 10.0},
        **{
            "slope_cap": 4.0,
            "initial_drive": 2.0,
            "relative_slope_min": 0.3,
            "max_shift": 2,
        },
    }.items():
        assert cell_name(replace(usual, **{name: value})) != cell_name(usual), name


# What config.json of version 0.2.0 held.
OF_0_2 = """
dataset dt_ms seed epochs batch_size learning_rate estimator slope_cap surrogate_width
surrogate_height true false spike_penalty latency_weight latency_tau_ms
learning_rate_factor learning_rate_epochs learning_rate_floor learning_rate_patience
validation validation_seed patience code t_max_ms n_train n_test precision workers rule
preset layers v_threshold detect max_spikes initial_mean initial_drive slope_min
relative_slope_min tau_mem_ms tau_syn_ms duration_ms projection device cuda_arch
replicas model
""".split()


def test_runs_of_an_older_version_go_on(tmp_path):
    """What it did not know it did without; `make study` would begin anew else."""
    config = Settings.reference("digits").config()
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.write_json(CONFIG, {name: config[name] for name in OF_0_2})
    folder.check_free(config, resume=True)
    assert folder.config().keys() >= config.keys()


def test_a_run_folder_is_found_by_the_same_name_as_ever():
    usual = Settings.reference("digits")
    assert [
        cell_name(replace(usual, **changes))
        for changes in (
            {"estimator": "straight-through-end", "slope_cap": 4.0},
            {
                **{"estimator": "arctan", "surrogate_width": 0.3},
                **{"surrogate_height": 2.0},
            },
            {"true": 12.0, "spike_penalty": 0.5},
            {"latency_weight": 0.5, "latency_tau_ms": 10.0},
            {"validation": 0.3, "max_shift": 2},
        )
    ] == [
        "digits_grid_dt1_straight-through-end_cap4_seed0",
        "digits_grid_dt1_arctan_width0.3_height2_seed0",
        "digits_grid_dt1_targets12-3_penalty0.5_seed0",
        "digits_grid_dt1_latency0.5_latency-tau10_seed0",
        "digits_grid_dt1_validation0.3_shift2_seed0",
    ]


def test_published_settings_are_those_of_the_study_of_the_time_step():
    settings = Settings.reference("mnist", preset="published")
    expected = {
        **{"dt_ms": 1.0, "seed": 0, "epochs": 10, "true": 15.0, "false": 3.0},
        **{"tau_mem_ms": 260.0, "tau_syn_ms": 130.0, "duration_ms": 200.0},
        **{"t_max_ms": 100.0, "validation": 0.0, "max_shift": 0},
        **{"spike_penalty": 0.0, "latency_weight": 0.0, "precision": "single"},
    }
    assert {name: getattr(settings, name) for name in expected} == expected
    assert [settings.learning_rate_at(n) for n in (1, 11, 101)] == [0.003] * 3
    rates = Settings.reference("fashion-mnist").learning_rate_at
    assert [rates(n) for n in (10, 11, 21)] == [0.0005, 0.00025, 0.000125]
    assert Settings.reference("mnist").validation == 0.1
    assert settings.latency_tau_ms == 30.0


LEAST = {
    **{"seed": 0, "epochs": 1, "batch_size": 1, "learning_rate_epochs": 1},
    **{"learning_rate_patience": 1, "validation_seed": 0, "patience": 1},
    "max_shift": 0,
}


@pytest.mark.parametrize("name", LEAST)
def test_a_number_of_a_training_has_a_least_value(name):
    least = LEAST[name]
    assert getattr(Settings.reference("digits", **{name: least}), name) == least
    with pytest.raises(ValueError, match=f"'{name}' must (be 1 or more|not be neg)"):
        Settings.reference("digits", **{name: least - 1})
    with pytest.raises(ValueError, match=f"'{name}' must be int"):
        Settings.reference("digits", **{name: least + 0.5})


@pytest.mark.parametrize(
    ("name", "most_or_least", "beyond"),
    [
        ("learning_rate_factor", 1.0, 1.01),
        ("learning_rate_floor", 0.01, 0.0101),  # the learning rate of the digits
        ("learning_rate_floor", 0.0, -1e-9),
        ("latency_weight", 0.0, -1e-9),
        ("validation", 0.0, -1e-9),
        ("validation", 0.999, 1.0),
        ("t_max_ms", 200.0, 200.1),  # the length of a sample
    ],
)
def test_a_setting_may_be_what_bounds_it(name, most_or_least, beyond):
    settings = Settings.reference("digits", **{name: most_or_least})
    assert getattr(settings, name) == most_or_least
    with pytest.raises(ValueError, match=f"'{name}' must"):
        Settings.reference("digits", **{name: beyond})


@pytest.mark.parametrize(
    "name", ["learning_rate", "learning_rate_factor", "latency_tau_ms", "t_max_ms"]
)
def test_a_time_or_a_rate_is_positive(name):
    assert getattr(Settings.reference("digits", **{name: 0.01}), name) == 0.01
    with pytest.raises(ValueError, match=f"'{name}' must be positive, got 0.0"):
        Settings.reference("digits", **{name: 0.0})


@pytest.mark.parametrize("name", ["surrogate_width", "surrogate_height"])
def test_a_surrogate_has_a_width_and_a_height(name):
    options = {"estimator": "arctan", name: 0.0}
    with pytest.raises(ValueError, match=f"'{name}' must be positive, got 0.0"):
        Settings.reference("digits", **options)


@pytest.mark.parametrize(
    "name", ["validation_seed", "patience", "learning_rate_patience"]
)
def test_what_needs_validation_is_refused_where_there_is_none(name):
    words = f"'{name}' must be left out without a part of the samples"
    with pytest.raises(ValueError, match=words):
        Settings.reference("digits", validation=0.0, **{name: LEAST[name]})


def test_settings_take_name_and_code_of_their_data():
    data = SimpleNamespace(name="emnist-47class-subset", code="rate")
    settings = Settings.reference("emnist")
    found = settings.of(data)
    assert (found.dataset, found.code) == (data.name, data.code)
    chosen = replace(settings, code="first-spike").of(data)
    assert (chosen.dataset, chosen.code) == (data.name, "first-spike")


def test_a_field_says_what_forms_and_tables_need():
    wait, sizes, word = EXAMPLE.values()
    assert (wait.option, wait.label, wait.kind) == ("--wait-ms", "wait (ms)", float)
    assert (sizes.option, sizes.kind, sizes.several) == ("--sizes", int, True)
    assert (word.label, word.kind, word.several) == ("word", str, False)
    assert (wait.help, word.choices, word.default) == (
        "how long",
        ("yes", "no"),
        MISSING,
    )
    assert Example(word="no").wait_ms == 2.0


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("wait_ms", 0, "'wait_ms' must be positive, got 0.0"),
        ("wait_ms", None, "'wait_ms' must be float, got None"),
        ("sizes", 3, "'sizes' must be tuple.*, got 3"),
        ("sizes", [1.5], r"'sizes' must be tuple.*, got \[1.5\]"),
        ("word", "maybe", "'word' must be one of yes, no, got 'maybe'"),
        ("word", 1, "'word' must be str, got 1"),
    ],
)
def test_a_field_refuses_what_it_cannot_be(name, value, words):
    with pytest.raises(ValueError, match=words):
        EXAMPLE[name].checked(value)
