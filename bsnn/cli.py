"""The console command ``bsnn``."""

import argparse
import json
import logging
import os
import signal
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from .errors import BsnnError

DESCRIPTION = """\
Train spiking networks whose neurons are Brian2 equations, and measure what the time
step does to accuracy, sparsity and latency."""


def main(argv=None):
    """Run one command; return its exit code.

    What was asked for goes to stdout, everything else to stderr. An error is one
    message; BSNN_DEBUG=1 shows where it came from.
    """
    arguments = make_parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("bsnn").setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        if arguments.command is not _doctor:  # which copes without Brian2
            from .brian2_files import remove_brian2_files

            remove_brian2_files()
        return arguments.command(arguments)
    except KeyboardInterrupt:
        print("bsnn: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except (BsnnError, ValueError, TypeError, OSError) as error:
        if os.environ.get("BSNN_DEBUG"):
            raise
        print(f"bsnn: {error}", file=sys.stderr)
        return 1


def run():
    """Entry point of the console script."""
    sys.exit(main())


def make_parser():
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="bsnn", description=DESCRIPTION, epilog="bsnn COMMAND --help says more."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    train = _command(
        commands,
        _train,
        "train",
        "train a network and leave a run folder",
        "bsnn train mnist --dt-ms 1 --epochs 10 --seed 0 --out runs/mnist_1ms",
    )
    train.add_argument("dataset", help="mnist, emnist, fashion-mnist, digits, yin-yang")
    train.add_argument("--dt-ms", type=float, help="time step in ms; 0 = continuous")
    train.add_argument("--rule", help="grid, quantised-event, continuous")
    train.add_argument("--seed", type=int, help="of weights and data order")
    train.add_argument("--out", type=Path, help="run folder (default: runs/<name>)")
    train.add_argument(
        "--resume", action="store_true", help="go on with the run in --out"
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
        _sweep,
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
        "--out", type=Path, help="sweep folder (default: runs/<dataset>)"
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
        _evaluate,
        "evaluate",
        "test a trained network, also at other time steps",
        "bsnn evaluate runs/mnist_1ms --dt-ms 0.5 1 2 4 8",
    )
    evaluate.add_argument("run", type=Path, help="run folder")
    evaluate.add_argument(
        "--dt-ms", type=float, nargs="+", help="in ms (default: its own)"
    )
    evaluate.add_argument("--rule", help="(default: its own)")
    evaluate.add_argument("--workers", type=int, help="processes (default: one a core)")
    evaluate.add_argument("--data-dir", type=Path, help="(default: BSNN_DATA)")

    plot = _command(
        commands,
        _plot,
        "plot",
        "draw the figures of a sweep or run",
        "bsnn plot runs/mnist --out figures",
    )
    plot.add_argument("sweep", type=Path, help="sweep folder or run folder")
    plot.add_argument("--dataset", help="which, if the folder has several")
    plot.add_argument("--out", type=Path, help="(default: <sweep>/figures)")

    report = _command(
        commands,
        _report,
        "report",
        "put the tables and figures of a sweep into one page, HTML or Markdown",
        "bsnn report runs/mnist --out report.html",
    )
    report.add_argument("sweep", type=Path, help="sweep folder or run folder")
    report.add_argument("--dataset", help="which, if the folder has several")
    report.add_argument(
        "--out", type=Path, help=".html or .md (default: <sweep>/report.html)"
    )

    bench = _command(
        commands,
        _bench,
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
        bench.add_argument(option, **_SETTINGS[option])
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
    bench.add_argument("--data-dir", type=Path, help="(default: BSNN_DATA)")
    bench.add_argument(
        "--out", type=Path, help="JSON file; with --scale a folder (default: scaling)"
    )

    doctor = _command(
        commands,
        _doctor,
        "doctor",
        "say what works here and how to mend what does not",
        "bsnn doctor",
    )
    doctor.add_argument("--data-dir", type=Path, help="(default: BSNN_DATA)")
    return parser


def _command(commands, function, name, summary, example):
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"example: {example}",
    )
    parser.set_defaults(command=function)
    return parser


# Options that are settings of the same name; without them the reference settings hold.
_SETTINGS = {
    "--epochs": {"type": int, "help": "(default: 10)"},
    "--batch-size": {"type": int, "help": "samples an update"},
    "--learning-rate": {"type": float, "help": "of Adam"},
    "--layers": {
        "type": int,
        "nargs": "+",
        "help": "inputs, then neurons of each layer",
    },
    "--v-threshold": {"type": float, "nargs": "+", "help": "of each layer"},
    "--detect": {"help": "end or crossing, under the rule grid"},
    "--max-spikes": {"type": int, "nargs": "+", "help": "of each layer, event rules"},
    "--true": {"type": float, "help": "target spikes of the label (15)"},
    "--false": {"type": float, "help": "target spikes of the others (3)"},
    "--spike-penalty": {"type": float, "help": "price of a hidden spike (0)"},
    "--n-train": {"type": int, "help": "use the first N training samples"},
    "--n-test": {"type": int, "help": "use the first N test samples"},
    "--precision": {"help": "single or double (default: single)"},
    "--projection": {"help": "dense or synapses (default: dense)"},
    "--device": {"help": "cpp (default) or cuda, which needs a GPU"},
    "--cuda-arch": {"type": float, "help": "compute capability (default: the GPU's)"},
    "--replicas": {"type": int, "help": "samples at a time on a GPU (default: by it)"},
}


def _add_settings(parser, without=None):
    for option, keywords in _SETTINGS.items():
        if option != without:
            parser.add_argument(option, **keywords)
    parser.add_argument(
        "--data-dir",
        type=Path,
        help="folder of the data sets (default: BSNN_DATA, else the user cache)",
    )


def _settings_of(arguments, *more, axes=()):
    from .training.settings import Settings

    names = [option[2:].replace("-", "_") for option in _SETTINGS] + list(more)
    given = {name: getattr(arguments, name) for name in names if name not in axes}
    settings = Settings.reference(arguments.dataset, **given)
    _check_device(settings)
    return settings


def _check_device(settings):
    if settings.device == "cuda":
        from .cuda import require_gpu

        require_gpu()  # before anything is loaded or written


def _train(arguments):
    from .analysis import Measurement, console_table, read_sweep
    from .datasets import load_dataset
    from .runs import RunFolder
    from .training.loop import train
    from .training.sweep import cell_name

    settings = _settings_of(arguments, "dt_ms", "rule", "seed", "workers")
    dataset = load_dataset(settings.dataset, data_dir=arguments.data_dir)
    settings = replace(settings, dataset=dataset.name)  # a subset says so
    out = arguments.out or Path("runs") / cell_name(settings)
    train(
        settings,
        dataset.head(settings.n_train, settings.n_test),
        RunFolder(out),
        measurement=Measurement,
        resume=arguments.resume,
        checkpoint_seconds=arguments.checkpoint_seconds,
    )
    print(console_table(read_sweep(out).runs))
    return 0


def _sweep(arguments):
    from .analysis import Measurement, console_table, read_sweep
    from .datasets import data_folder, load_dataset
    from .training.sweep import make_cells, run_sweep

    base = _settings_of(arguments, axes=["spike_penalty"])
    folder, is_cache = data_folder(arguments.data_dir)
    load = partial(load_dataset, data_dir=None if is_cache else folder.resolve())
    dataset = load(base.dataset).head(base.n_train, base.n_test)
    base = replace(base, dataset=dataset.name)  # a subset says so
    base.check_dataset(dataset)
    cells = make_cells(
        base,
        dt_ms=arguments.dt_ms,
        rules=arguments.rules,
        seeds=arguments.seeds,
        spike_penalties=arguments.spike_penalty,
    )
    out = arguments.out or Path("runs") / base.dataset
    failed = run_sweep(
        cells,
        out,
        load=load,
        measurement=Measurement,
        parallel=arguments.parallel,
        scheduler=arguments.scheduler,
    )
    for name, error in failed.items():
        print(f"bsnn: {name} failed: {error} ({out / name}.log)", file=sys.stderr)
    if len(failed) < len(cells):
        print(console_table(read_sweep(out).runs))
    return 1 if failed else 0


def _evaluate(arguments):
    import pandas as pd

    from .analysis import Measurement
    from .datasets import load_dataset
    from .runs import RunFolder
    from .training.evaluation import evaluate_run

    folder = RunFolder(arguments.run)
    rows = evaluate_run(
        folder,
        load=lambda name: load_dataset(name, data_dir=arguments.data_dir),
        measurement=Measurement,
        dt_ms=arguments.dt_ms,
        rule=arguments.rule,
        workers=arguments.workers,
    )
    print(pd.DataFrame(rows).to_string(index=False, float_format="{:.4g}".format))
    return 0


def _plot(arguments):
    from .analysis import make_figures

    out = arguments.out or arguments.sweep / "figures"
    written, skipped = make_figures(
        arguments.sweep, out, dataset=arguments.dataset, load_weights=_load_weights
    )
    _say_skipped(skipped)
    print("\n".join(str(path) for path in written if path.suffix == ".png"))
    return 0


def _report(arguments):
    from .analysis import write_report

    out = arguments.out or arguments.sweep / "report.html"
    skipped = write_report(
        arguments.sweep, out, dataset=arguments.dataset, load_weights=_load_weights
    )
    _say_skipped(skipped)
    print(out)
    return 0


def _load_weights(folder):
    from .model import Model
    from .runs import RunFolder
    from .training.checkpoint import check_fits, load_checkpoint

    run = RunFolder(folder)
    state = load_checkpoint(run)
    check_fits(state, Model.from_dict(run.config()["model"]))
    return [weight.numpy() for weight in state["weights"]]


def _bench(arguments):
    from .training.bench import load_workload, run_bench
    from .training.peers import check_peers
    from .training.settings import Settings

    check_peers(arguments.against)
    names = (
        "dt_ms batch_size precision workers seed layers v_threshold device cuda_arch"
    ).split()
    given = {name: getattr(arguments, name) for name in names}
    settings = Settings.reference("mnist", **given)
    if arguments.replicas and (settings.device != "cuda" or arguments.scale):
        raise ValueError("'replicas' needs the device 'cuda', and no 'scale'.")
    _check_device(settings)
    workload = load_workload(
        arguments.workload,
        n_inputs=settings.layers[0],
        seed=settings.seed,
        data_dir=arguments.data_dir,
    )
    if arguments.scale:
        return _scale(settings, workload, arguments)
    options = {"repeats": arguments.repeats, "peers": arguments.against}
    if settings.device == "cuda":
        from .training.bench_gpu import REPLICAS, run_gpu_bench

        report = run_gpu_bench(
            settings,
            workload,
            replicas=arguments.replicas or REPLICAS,
            batch_size=arguments.batch_size,
            **options,
        )
    else:
        report = run_bench(settings, workload, stock=not arguments.no_stock, **options)
    print(report.table())
    if arguments.out:
        _write(arguments.out, report.to_json())
    if report.unequal:
        print("bsnn: not the spikes that they should equal", file=sys.stderr)
    return 1 if report.unequal else 0


def _scale(settings, workload, arguments):
    from .analysis.scaling import make_scaling_figures
    from .training.bench_scale import run_scale

    out = arguments.out or Path("scaling")
    rows = run_scale(settings, workload, repeats=arguments.repeats)
    out.mkdir(parents=True, exist_ok=True)
    _write(out / "scaling.json", json.dumps(rows, indent=2) + "\n")
    for path in make_scaling_figures(rows, out):
        print(path)
    return 0


def _write(path, text):
    from .runs import replacing

    with replacing(path) as file:
        file.write(text)


def _say_skipped(skipped):
    for name, reason in skipped.items():
        print(f"left out {name}: {reason}", file=sys.stderr)


def _doctor(arguments):
    from .doctor import examine, render, usable

    checks = examine(arguments.data_dir)
    print(render(checks))
    return 0 if usable(checks) else 1
