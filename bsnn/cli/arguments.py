"""What the console command ``bsnn`` takes."""

import argparse
from pathlib import Path

DESCRIPTION = """\
Train spiking networks whose neurons are Brian2 equations, and measure what the time
step does to accuracy, sparsity and latency."""


def make_parser():
    """Return the parser of all commands; its result names the `command`."""
    parser = argparse.ArgumentParser(
        prog="bsnn", description=DESCRIPTION, epilog="bsnn COMMAND --help says more."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    train = _command(
        commands,
        "train",
        "train a network and leave a run folder",
        "bsnn train mnist --dt-ms 1 --epochs 10 --seed 0 --out runs/mnist_1ms",
    )
    train.add_argument(
        "dataset",
        help="mnist, emnist, fashion-mnist, digits, yin-yang, or a folder of your own "
        "in --data-dir with four files called as those of MNIST",
    )
    train.add_argument("--dt-ms", type=float, help="time step in ms; 0 = continuous")
    train.add_argument("--rule", help="grid, quantised-event, continuous")
    train.add_argument("--seed", type=int, help="of weights and data order")
    train.add_argument("--out", type=_path, help="run folder (default: runs/<name>)")
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
    _add_settings(train)
    train.add_argument("--workers", type=int, help="processes (default: one a core)")

    sweep = _command(
        commands,
        "sweep",
        "train every combination of time step, rule and seed",
        "bsnn sweep mnist --dt-ms 0 1 4 8 --rules grid quantised-event --seeds 0 1 2",
    )
    sweep.add_argument("dataset", help="as for train")
    sweep.add_argument("--dt-ms", type=float, nargs="+", required=True, help="in ms")
    sweep.add_argument("--rules", nargs="+", default=["grid"], help="(default: grid)")
    sweep.add_argument("--seeds", type=int, nargs="+", default=[0], help="(default: 0)")
    sweep.add_argument(
        "--spike-penalty",
        type=float,
        nargs="+",
        default=[0.0],
        help="prices of a hidden spike (default: 0)",
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
    _add_settings(sweep, without="--spike-penalty")

    evaluate = _command(
        commands,
        "evaluate",
        "test a trained network, also at other time steps",
        "bsnn evaluate runs/mnist_1ms --dt-ms 0.5 1 2 4 8",
    )
    evaluate.add_argument("run", type=_path, help="run folder")
    evaluate.add_argument(
        "--dt-ms", type=float, nargs="+", help="in ms (default: its own)"
    )
    evaluate.add_argument("--rule", help="(default: its own)")
    evaluate.add_argument("--workers", type=int, help="processes (default: one a core)")
    evaluate.add_argument("--data-dir", type=_path, help="(default: BSNN_DATA)")

    one_neuron = _command(
        commands,
        "one-neuron",
        "count the spikes of one neuron under each time rule, for plot and report",
        "bsnn one-neuron runs/mnist",
    )
    _add_sweep(one_neuron)

    plot = _command(
        commands,
        "plot",
        "draw the figures of a sweep or run",
        "bsnn plot runs/mnist --out figures",
    )
    _add_sweep(plot)
    plot.add_argument("--out", type=_path, help="(default: <sweep>/figures)")

    report = _command(
        commands,
        "report",
        "put the tables and figures of a sweep into one page, HTML or Markdown",
        "bsnn report runs/mnist --out report.html",
    )
    _add_sweep(report)
    report.add_argument(
        "--out", type=_path, help=".html or .md (default: <sweep>/report.html)"
    )

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
        help="(default: mnist if it is in the data folder)",
    )
    bench.add_argument("--dt-ms", type=float, help="time step in ms (default: 1)")
    bench.add_argument(
        "--batch-size", type=int, help="samples (default: 50; on a GPU the replicas)"
    )
    bench.add_argument(
        "--precision", choices=("single", "double"), help="(default: single)"
    )
    bench.add_argument("--workers", type=int, help="processes (default: one a core)")
    for option in ("--device", "--cuda-arch"):
        bench.add_argument(option, **SETTINGS[option])
    bench.add_argument(
        "--replicas",
        type=int,
        nargs="+",
        help="with --device cuda, the numbers to measure (default: 1 16 64 256 1000)",
    )
    bench.add_argument("--repeats", type=int, default=7, help="5 or more (default: 7)")
    bench.add_argument("--seed", type=int, help="of weights (default: 0)")
    bench.add_argument(
        "--layers", type=int, nargs="+", help="(default: 784 800 10 of MNIST)"
    )
    bench.add_argument("--v-threshold", type=float, nargs="+", help="of each layer")
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
    bench.add_argument("--data-dir", type=_path, help="(default: BSNN_DATA)")
    bench.add_argument(
        "--out", type=_path, help="JSON file; with --scale a folder (default: scaling)"
    )

    doctor = _command(
        commands,
        "doctor",
        "say what works here and how to mend what does not",
        "bsnn doctor",
    )
    doctor.add_argument("--data-dir", type=_path, help="(default: BSNN_DATA)")
    return parser


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


# Options that are settings of the same name; without them the reference settings hold.
SETTINGS = {
    "--preset": {
        "help": "published: weights and gradient as in the studies by Bacho & Chu "
        "(2023) and of the time step (default: default, the best known)"
    },
    "--epochs": {"type": int, "help": "(default: 10)"},
    "--batch-size": {"type": int, "help": "samples an update"},
    "--learning-rate": {"type": float, "help": "of Adam"},
    "--learning-rate-factor": {
        "type": float,
        "help": "times which it falls (1; emnist and fashion-mnist: 0.5)",
    },
    "--learning-rate-epochs": {"type": int, "help": "epochs between two falls (10)"},
    "--learning-rate-floor": {
        "type": float,
        "help": "below which it does not fall (0; emnist: 0.0001)",
    },
    "--layers": {
        "type": int,
        "nargs": "+",
        "help": "inputs, then neurons of each layer",
    },
    "--v-threshold": {"type": float, "nargs": "+", "help": "of each layer"},
    "--tau-mem-ms": {"type": float, "help": "membrane time constant in ms (260)"},
    "--tau-syn-ms": {"type": float, "help": "synaptic time constant in ms (130)"},
    "--duration-ms": {"type": float, "help": "length of a sample in ms (200)"},
    "--t-max-ms": {"type": float, "help": "latest input spike in ms (100)"},
    "--detect": {"help": "end or crossing, under the rule grid"},
    "--max-spikes": {"type": int, "nargs": "+", "help": "of each layer, event rules"},
    "--true": {"type": float, "help": "target spikes of the label (15)"},
    "--false": {"type": float, "help": "target spikes of the others (3)"},
    "--spike-penalty": {"type": float, "help": "price of a hidden spike (0)"},
    "--initial-mean": {
        "type": float,
        "nargs": "+",
        "help": "of each layer's initial weights, in Hz, in place of --initial-drive",
    },
    "--initial-drive": {
        "type": float,
        "help": "to how many thresholds one spike of each neuron below lifts an output "
        "before training, in the mean (4; published: 0)",
    },
    "--slope-min": {
        "type": float,
        "help": "least slope in the gradient, in Hz (published: 0.1)",
    },
    "--relative-slope-min": {
        "type": float,
        "help": "the same in v_threshold/tau_mem of each layer (6)",
    },
    "--n-train": {"type": int, "help": "use the first N training samples"},
    "--n-test": {"type": int, "help": "use the first N test samples"},
    "--precision": {"help": "single or double (default: single)"},
    "--projection": {"help": "dense or synapses (default: dense)"},
    "--device": {"help": "cpp (default) or cuda, which needs a GPU"},
    "--cuda-arch": {"type": float, "help": "compute capability (default: the GPU's)"},
    "--replicas": {"type": int, "help": "samples at a time on a GPU (default: by it)"},
}


def _add_sweep(parser):
    parser.add_argument("sweep", type=_path, help="sweep folder or run folder")
    parser.add_argument("--dataset", help="which, if the folder has several")


def _add_settings(parser, without=None):
    for option, keywords in SETTINGS.items():
        if option != without:
            parser.add_argument(option, **keywords)
    parser.add_argument(
        "--data-dir",
        type=_path,
        help="folder of the data sets (default: BSNN_DATA, else the user cache)",
    )
