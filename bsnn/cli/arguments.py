"""What the console command ``bsnn`` takes."""

import argparse
import dataclasses
from importlib import metadata
from pathlib import Path

from bsnn.fields import fields_of, in_short
from bsnn.presets import OWN_NETWORK, PRESETS, REFERENCES
from bsnn.run_settings import RunSettings
from bsnn.settings import SETTINGS

DESCRIPTION = """\
Train spiking networks whose neurons are Brian2 equations, and measure what the time
step does to accuracy, sparsity and latency."""


def make_parser():
    """Return the parser of all commands; its result names the `command`."""
    parser = argparse.ArgumentParser(
        prog="bsnn", description=DESCRIPTION, epilog="bsnn COMMAND --help says more."
    )
    parser.add_argument(
        "--version", action="version", version=f"bsnn {metadata.version('bsnn')}"
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add in (
        _add_train,
        _add_sweep,
        _add_evaluate,
        _add_gradient_error,
        _add_one_neuron,
        _add_plot,
        _add_report,
        _add_bench,
        _add_doctor,
    ):
        add(commands)
    return parser


def _add_train(commands):
    train = _command(
        commands,
        "train",
        "train a network and leave a run folder",
        "bsnn train mnist --dt-ms 1 --epochs 10 --seed 0 --out runs/mnist_1ms",
    )
    train.add_argument("dataset", help=SETTINGS["dataset"].help)
    train.add_argument("--out", type=_path, help="run folder (default: runs/<name>)")
    _add_model(train)
    train.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in --out, also for more epochs than it had",
    )
    train.add_argument(
        "--checkpoint-seconds",
        type=float,
        default=30.0,
        help="between checkpoints within an epoch (default: 30; 0: after each batch)",
    )
    train.add_argument(
        "--tensorboard",
        action="store_true",
        help="write each epoch for TensorBoard, too, into a folder of the run",
    )
    _add_settings(train, [name for name in SETTINGS if name != "dataset"])
    _add_data_dir(train)


def _add_sweep(commands):
    sweep = _command(
        commands,
        "sweep",
        "train every combination of time step, rule and seed",
        "bsnn sweep mnist --dt-ms 0 1 4 8 --rules grid quantised-event --seeds 0 1 2",
    )
    sweep.add_argument("dataset", help="as for train")
    _add_model(sweep)
    _add_setting(sweep, "dt_ms", nargs="+", required=True, help="time steps, in ms")
    sweep.add_argument(
        "--rules", nargs="+", default=["grid"], help="time rules (default: grid)"
    )
    sweep.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=[0],
        help="of weights and data order (default: 0)",
    )
    _add_setting(
        sweep,
        "spike_penalty",
        nargs="+",
        default=[0.0],
        help="prices of a hidden spike (default: 0)",
    )
    _add_setting(
        sweep,
        "estimator",
        nargs="+",
        help="what stand for the derivative of a spike (default: straight-through, or "
        "as --model says)",
    )
    sweep.add_argument(
        "--out", type=_path, help="sweep folder (default: runs/<dataset>)"
    )
    sweep.add_argument("--parallel", type=int, help="cells at a time (default: cores)")
    sweep.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="of a Dask scheduler whose workers share --out and --data-dir",
    )
    # Of the cells; each has one worker.
    own = {"dataset", "dt_ms", "rule", "seed", "spike_penalty", "estimator", "workers"}
    _add_settings(sweep, [name for name in SETTINGS if name not in own])
    _add_data_dir(sweep)


def _add_evaluate(commands):
    evaluate = _command(
        commands,
        "evaluate",
        "test a trained network, also at other time steps",
        "bsnn evaluate runs/mnist_1ms --dt-ms 0.5 1 2 4 8",
    )
    evaluate.add_argument("run", type=_path, help="run folder")
    _add_model(evaluate)
    _add_setting(
        evaluate, "dt_ms", nargs="+", help="time steps, in ms (default: the run's own)"
    )
    _add_setting(evaluate, "rule", help="time rule (default: the run's own)")
    _add_setting(evaluate, "workers")
    _add_data_dir(evaluate)


def _add_gradient_error(commands):
    errors = _command(
        commands,
        "gradient-error",
        "compare the gradients of all estimators with the exact one, at each time step",
        "bsnn gradient-error runs/mnist_1ms --dt-ms 0.1 1 4 12 --out gradient-error",
    )
    errors.add_argument("runs", type=_path, nargs="+", help="run folders of chains")
    _add_setting(
        errors,
        "dt_ms",
        nargs="+",
        help="in ms (default: 0.1 0.2 0.5 1 2 4 8 12)",
    )
    _add_setting(errors, "estimator", nargs="+", help="(default: all)")
    errors.add_argument(
        "--samples", type=int, default=100, help="of the training set (default: 100)"
    )
    errors.add_argument(
        "--jitters",
        type=int,
        default=8,
        help="of the weights, over which the loss of counts is smoothed (default: 8)",
    )
    errors.add_argument(
        "--distances",
        type=float,
        nargs="+",
        help="over which the slope of the loss of counts is measured, relative to the "
        "spread of the weights (default: 0.001 0.005)",
    )
    _add_setting(errors, "workers")
    _add_data_dir(errors)
    errors.add_argument(
        "--out",
        type=_path,
        default=Path("gradient-error"),
        help="folder of figures and numbers (default: gradient-error)",
    )


def _add_one_neuron(commands):
    one_neuron = _command(
        commands,
        "one-neuron",
        "count the spikes of one neuron under each time rule, for plot and report",
        "bsnn one-neuron runs/mnist",
    )
    _add_study(one_neuron)


def _add_plot(commands):
    plot = _command(
        commands,
        "plot",
        "draw the figures of a sweep or run",
        "bsnn plot runs/mnist --out figures",
    )
    _add_study(plot)
    plot.add_argument("--out", type=_path, help="folder (default: <sweep>/figures)")


def _add_report(commands):
    report = _command(
        commands,
        "report",
        "put the tables and figures of a sweep into one page, HTML or Markdown",
        "bsnn report runs/mnist --out report.html",
    )
    _add_study(report)
    report.add_argument(
        "--out", type=_path, help=".html or .md (default: <sweep>/report.html)"
    )


def _add_bench(commands):
    bench = _command(
        commands,
        "bench",
        "measure speed and memory, beside stock Brian2 and other libraries; with "
        "--device cuda over the number of replicas, beside the C++ target",
        "bsnn bench --dt-ms 1 --batch-size 50 --against spyx --out bench.json",
    )
    bench.add_argument(
        "--workload",
        choices=("mnist", "synthetic"),
        help="input spikes (default: mnist if it is in the data folder)",
    )
    _add_setting(
        bench, "batch_size", help="samples (default: 50; on a GPU the replicas)"
    )
    for name in ("dt_ms", "precision", "seed", "workers", "device", "cuda_arch"):
        _add_setting(bench, name)
    _add_setting(
        bench,
        "replicas",
        nargs="+",
        help="with --device cuda, the numbers to measure (default: 1 16 64 256 1000)",
    )
    _add_setting(bench, "layers", help="neurons (default: 784 800 10 of MNIST)")
    _add_setting(
        bench, "v_threshold", help="threshold of each layer (default: 0.2 1.3 of MNIST)"
    )
    bench.add_argument("--repeats", type=int, default=7, help="5 or more (default: 7)")
    bench.add_argument("--no-stock", action="store_true", help="leave out stock Brian2")
    bench.add_argument(
        "--against",
        nargs="+",
        default=[],
        metavar="LIBRARY",
        help="of spyx, snntorch, norse, spikingjelly those that are installed",
    )
    bench.add_argument(
        "--scale",
        action="store_true",
        help="vary hidden size, batch, time step and layers instead; draw figures",
    )
    bench.add_argument(
        "--neurons",
        action="store_true",
        help="measure networks of any neurons instead: the derived adjoint beside the "
        "fast path, and AdEx neurons beside stock Brian2 and, --against norse, Norse",
    )
    bench.add_argument(
        "--recurrent",
        action="store_true",
        help="measure 256 recurrent ALIF neurons instead; with --scale how a step "
        "grows with their number, duration, delay and sparseness",
    )
    bench.add_argument(
        "--profile",
        action="store_true",
        help="time each code object of the programs of three networks, on one core; of "
        "the options only --workload, --precision, --seed, --repeats and --out count",
    )
    bench.add_argument(
        "--suite",
        action="store_true",
        help="measure all of it, the chain, --recurrent and --neurons, beside stock "
        "Brian2 and the libraries that are installed; write JSON and a page beside it",
    )
    bench.add_argument(
        "--compare",
        type=_path,
        metavar="OLD.json",
        help="show each speed over that in this report of the same options, and mark "
        "what is slower (default: no comparison)",
    )
    _add_data_dir(bench)
    bench.add_argument(
        "--out",
        type=_path,
        help="JSON file (default: none; with --suite bench.json); with --scale a "
        "folder (default: scaling)",
    )


def _add_doctor(commands):
    doctor = _command(
        commands,
        "doctor",
        "say what works here and how to mend what does not",
        "bsnn doctor",
    )
    _add_data_dir(doctor)


def _path(text):
    return Path(text).expanduser()  # as a shell does not in --out=~/runs


def _command(commands, name, summary, example):
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"example: {example}",
    )
    parser.set_defaults(command=name)
    return parser


def _add_settings(parser, names):
    """Add the options of settings, those of a chain in a group of their own."""
    chain = parser.add_argument_group(
        "the network, a chain of CUBA LIF neurons; left out with --model"
    )
    shared = fields_of(RunSettings)
    for name in names:
        _add_setting(parser if name in shared else chain, name)


def _add_setting(parser, name, **changes):
    """Add the option that a setting is; without it the reference settings hold."""
    setting = SETTINGS[name]
    keywords = {"type": setting.kind, "help": f"{setting.help}{_usual(setting)}"}
    if setting.several:
        keywords["nargs"] = "+"
    if setting.choices:  # the settings themselves refuse other words
        keywords["metavar"] = f"{{{','.join(setting.choices)}}}"
    parser.add_argument(setting.option, **keywords | changes)


def _usual(setting):
    """Return the unit of a setting and its defaults, in brackets."""
    said = [f"in {setting.unit}"] if setting.unit else []
    if setting.default not in (None, dataclasses.MISSING):
        said.append(f"default: {in_short(setting.default)}")
    # Without any default, each data set has a value of its own: too many to list.
    required = setting.default is dataclasses.MISSING
    if setting.name in REFERENCES["mnist"]:
        said.append("default: by the data set")
    if setting.name in OWN_NETWORK:
        said.append(f"with --model: {in_short(OWN_NETWORK[setting.name])}")
    usual = PRESETS if required else PRESETS | REFERENCES
    said += [
        f"{name}: {in_short(values[setting.name])}"
        for name, values in usual.items()
        if setting.name in values
    ]
    return f" ({'; '.join(said)})" if said else ""


def _add_model(parser):
    parser.add_argument(
        "--model",
        type=_path,
        metavar="FILE.py",
        help="Python file with a network of your own: a function network(dt), and "
        "its weights; see the README",
    )


def _add_study(parser):
    parser.add_argument("sweep", type=_path, help="sweep folder or run folder")
    parser.add_argument(
        "--dataset", help="which data set (default: the only one of the folder)"
    )


def _add_data_dir(parser):
    parser.add_argument(
        "--data-dir",
        type=_path,
        help="folder of the data sets (default: BSNN_DATA, else the user cache)",
    )
