"""The console command ``bsnn``."""

import itertools
import json
import logging
import os
import signal
import sys
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

from bsnn.errors import BsnnError

from .arguments import make_parser

_ENDS = {KeyboardInterrupt: signal.SIGINT, SystemExit: signal.SIGTERM}
_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


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
        _check_working_folder()
        if arguments.command != "doctor":  # which copes without Brian2
            from bsnn.processes.brian2_files import import_brian2

            import_brian2()
        return _function_of(arguments.command)(arguments)
    except KeyboardInterrupt:
        print("bsnn: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except (BsnnError, ValueError, TypeError, OSError) as error:
        if os.environ.get("BSNN_DEBUG"):
            raise
        print(f"bsnn: {error}", file=sys.stderr)
        return 1


def _check_working_folder():
    try:
        os.getcwd()
    except OSError as error:  # torch's libraries end the process
        raise OSError(
            f"the working folder is gone ({error.strerror}); change to another one."
        ) from error


def run():
    """Entry point of the console script."""
    _open_standard_streams()
    for stream in (sys.stdout, sys.stderr):  # no word is worth a lost result
        stream.reconfigure(errors="backslashreplace")
    sys.unraisablehook = _heed
    os.environ["MPLBACKEND"] = "agg"  # that of a notebook stops where there is none
    sys.exit(main())


def _heed(unraisable):
    """Send a signal again that came while Python freed an object, where it was lost.

    Python ignores what is raised there; so it is sent a moment later, by a thread.
    """
    number = _ENDS.get(unraisable.exc_type)
    if number is None:
        sys.__unraisablehook__(unraisable)
    else:
        threading.Timer(0.01, os.kill, (os.getpid(), number)).start()


def _open_standard_streams():
    """Put the null device where a standard stream is closed.

    Otherwise a file or socket opened later takes its number, and what is meant for the
    stream; and no program can be started with it.
    """
    for number, (name, mode) in enumerate(_STREAMS):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the least number
            setattr(sys, name, open(number, mode, closefd=False))


def _function_of(command):
    return {
        "train": _train,
        "sweep": _sweep,
        "evaluate": _evaluate,
        "gradient-error": _gradient_error,
        "one-neuron": _one_neuron,
        "plot": _plot,
        "report": _report,
        "bench": _bench,
        "doctor": _doctor,
    }[command]


def _settings_of(arguments, without=(), **more):
    """Return the reference settings with what the arguments change.

    Parameters
    ----------
    arguments : Namespace
    without : sequence of str
        Arguments that are no settings, though they are called so.
    **more
        Settings that have no argument.
    """
    from bsnn.settings import SETTINGS, Settings

    names = SETTINGS.keys() - set(without)
    given = {name: v for name, v in vars(arguments).items() if name in names}
    if getattr(arguments, "model", None) is not None:
        return _network_settings(arguments.model, given)
    settings = Settings.reference(**given, **more)
    _check_device(settings)
    return settings


def _network_settings(path, given):
    """Return the settings of the network in a model file."""
    from bsnn.fields import fields_of
    from bsnn.model_file import ModelFile
    from bsnn.network_settings import NetworkSettings
    from bsnn.settings import SETTINGS

    given = {name: value for name, value in given.items() if value is not None}
    known = fields_of(NetworkSettings)
    foreign = [SETTINGS[name].option for name in given if name not in known]
    if foreign:
        raise ValueError(
            f"{', '.join(foreign)} must be left out with 'model': the network of "
            f"{path} says for itself what they say of a chain of CUBA LIF neurons."
        )
    return NetworkSettings(**given, model_file=ModelFile.read(path))


def _loader(settings):
    """Return what loads the data set of settings."""
    from bsnn.inputs.datasets import load_dataset

    file = getattr(settings, "model_file", None)
    return load_dataset if file is None else file.load


def _check_device(settings):
    if settings.device == "cuda":
        from bsnn.targets.cuda.target import require_gpu

        require_gpu()  # before anything is loaded or written


def _train(arguments):
    from bsnn.analysis import Measurement, console_table, read_sweep
    from bsnn.runs import RunFolder
    from bsnn.training.experiments.loop import train
    from bsnn.training.experiments.ranks import is_first
    from bsnn.training.experiments.sweep import cell_name

    settings = _settings_of(arguments)
    dataset = _loader(settings)(settings.dataset, data_dir=arguments.data_dir)
    settings = settings.of(dataset)  # a subset says so
    out = arguments.out or Path("runs") / cell_name(settings)
    train(
        settings,
        dataset.head(settings.n_train, settings.n_test),
        RunFolder(out),
        measurement=Measurement,
        resume=arguments.resume,
        checkpoint_seconds=arguments.checkpoint_seconds,
        tensorboard=arguments.tensorboard,
    )
    if is_first():
        print(console_table(read_sweep(out).runs))
    return 0


def _sweep(arguments):
    from bsnn.analysis import Measurement, console_table, read_sweep
    from bsnn.inputs.datasets import data_folder
    from bsnn.training.experiments.sweep import make_cells, run_sweep

    base = _settings_of(arguments, without=["dt_ms", "spike_penalty", "estimator"])
    if arguments.model is not None:  # its network may not exist at any other
        base = replace(base, dt_ms=arguments.dt_ms[0])
    folder, is_cache = data_folder(arguments.data_dir)
    load = partial(_loader(base), data_dir=None if is_cache else folder.resolve())
    dataset = load(base.dataset).head(base.n_train, base.n_test)
    base = base.of(dataset)  # a subset says so
    base.check_dataset(dataset)
    cells = make_cells(
        base,
        dt_ms=arguments.dt_ms,
        rules=arguments.rules,
        seeds=arguments.seeds,
        spike_penalties=arguments.spike_penalty,
        estimators=arguments.estimator or (None,),
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

    from bsnn.analysis import Measurement
    from bsnn.inputs.datasets import load_dataset
    from bsnn.model_file import ModelFile
    from bsnn.runs import RunFolder
    from bsnn.training.experiments.evaluation import evaluate_run

    folder = RunFolder(arguments.run)
    file = None if arguments.model is None else ModelFile.read(arguments.model)
    load = load_dataset if file is None else file.load
    rows = evaluate_run(
        folder,
        load=lambda name: load(name, data_dir=arguments.data_dir),
        measurement=Measurement,
        dt_ms=arguments.dt_ms,
        rule=arguments.rule,
        workers=arguments.workers,
        model_file=file,
    )
    print(pd.DataFrame(rows).to_string(index=False, float_format="{:.4g}".format))
    return 0


def _gradient_error(arguments):
    from tqdm import tqdm

    from bsnn.analysis.figures.gradient_error import make_gradient_error_figures
    from bsnn.analysis.report.results import gradient_error_table
    from bsnn.inputs.datasets import load_dataset
    from bsnn.run_settings import ESTIMATORS
    from bsnn.runs import RunFolder
    from bsnn.training.experiments.gradient_error import (
        DISTANCES,
        DT_MS,
        gradient_errors,
    )

    found = (
        gradient_errors(
            RunFolder(path),
            lambda name: load_dataset(name, data_dir=arguments.data_dir),
            dt_ms=arguments.dt_ms or DT_MS,
            estimators=arguments.estimator or ESTIMATORS,
            n_samples=arguments.samples,
            n_jitters=arguments.jitters,
            distances=arguments.distances or DISTANCES,
            workers=arguments.workers,
        )
        for path in arguments.runs
    )
    rows = list(tqdm(itertools.chain(*found), unit="row", disable=None))
    print(gradient_error_table(rows))
    print("\n".join(make_gradient_error_figures(rows, arguments.out)))
    return 0


def _one_neuron(arguments):
    from bsnn.analysis import read_sweep
    from bsnn.analysis.study.one_neuron import model_and_steps, save_counts
    from bsnn.simulators.one_neuron import count_table

    sweep = read_sweep(arguments.sweep, arguments.dataset)
    print(save_counts(sweep, count_table(*model_and_steps(sweep))))
    return 0


def _plot(arguments):
    from bsnn.analysis import make_figures

    out = arguments.out or arguments.sweep / "figures"
    written, skipped = make_figures(
        arguments.sweep, out, dataset=arguments.dataset, load_weights=_load_weights
    )
    _say_skipped(skipped)
    print("\n".join(str(path) for path in written if path.suffix == ".png"))
    return 0


def _report(arguments):
    from bsnn.analysis import write_report

    out = arguments.out or arguments.sweep / "report.html"
    skipped = write_report(
        arguments.sweep, out, dataset=arguments.dataset, load_weights=_load_weights
    )
    _say_skipped(skipped)
    print(out)
    return 0


def _load_weights(folder):
    from bsnn.model import Model
    from bsnn.runs import RunFolder
    from bsnn.training.experiments.checkpoint import (
        check_fits,
        load_checkpoint,
        weights_that_count,
    )

    run = RunFolder(folder)
    state = load_checkpoint(run)
    check_fits(state, Model.from_dict(run.config()["model"]).weight_shapes)
    return [weight.numpy() for weight in weights_that_count(state)]


def _bench(arguments):
    from bsnn.training.bench.cpu import run_bench
    from bsnn.training.bench.peers import check_peers
    from bsnn.training.bench.workload import load_workload

    check_peers(arguments.against)
    if arguments.compare is not None:
        from bsnn.training.bench.regression import read_report

        if arguments.scale:
            raise ValueError("'scale' has nothing that 'compare' could be beside.")
        arguments.compare = read_report(arguments.compare)
    if arguments.suite:
        names = ["scale", "neurons", "recurrent", "profile", *_OF_A_GPU]
        _refuse_ignored("suite", names, arguments)
        arguments.out = arguments.out or Path("bench.json")
        if arguments.out.suffix == ".md":
            raise ValueError("'out' must not end in .md, as the page beside it does.")
    if arguments.recurrent:
        return _recurrent(arguments)
    if arguments.replicas and (arguments.device != "cuda" or arguments.scale):
        raise ValueError("'replicas' needs the device 'cuda', and no 'scale'.")
    settings = _settings_of(
        arguments, without=["replicas"], dataset="mnist", preset="published"
    )
    workload = load_workload(
        arguments.workload,
        n_inputs=settings.layers[0],
        seed=settings.seed,
        data_dir=arguments.data_dir,
    )
    if arguments.suite:
        return _suite(settings, workload, arguments)
    if arguments.profile:
        return _shown(_profile(settings, workload, arguments), arguments)
    if arguments.neurons:
        return _shown(_neurons(settings, workload, arguments), arguments)
    if arguments.scale:
        return _scale(settings, workload, arguments)
    options = {"repeats": arguments.repeats, "peers": arguments.against}
    if settings.device == "cuda":
        from bsnn.training.bench.gpu import REPLICAS, run_gpu_bench

        report = run_gpu_bench(
            settings,
            workload,
            replicas=arguments.replicas or REPLICAS,
            batch_size=arguments.batch_size,
            **options,
        )
    else:
        report = run_bench(settings, workload, stock=not arguments.no_stock, **options)
    return _shown(report, arguments)


_OF_A_GPU = ["device", "cuda_arch", "replicas"]


def _refuse_ignored(mode, names, arguments):
    """Raise ValueError if an option is given that a bench would ignore."""
    for name in ("dt_ms", "layers", "v_threshold", "batch_size", *names):
        if getattr(arguments, name, None) not in (None, False, []):
            raise ValueError(f"{mode!r} has networks of its own, without {name!r}.")


def _recurrent(arguments):
    names = ["neurons", "profile", "workload", "data_dir"]
    on_gpu = arguments.device == "cuda" and not arguments.scale
    if not on_gpu:
        names += _OF_A_GPU
    if arguments.scale or on_gpu:
        names += ["against", "no_stock"]
    _refuse_ignored("recurrent", names, arguments)
    settings = _settings_of(
        arguments, without=["replicas"], dataset="mnist", preset="published"
    )
    options = {
        name: getattr(settings, name) for name in ("precision", "seed", "workers")
    }
    if arguments.scale:
        return _growth(options, arguments)
    if on_gpu:
        return _recurrent_on_gpu(options, settings, arguments)
    from bsnn.training.bench.recurrent import run_recurrent_bench

    report = run_recurrent_bench(
        **options,
        repeats=arguments.repeats,
        stock=not arguments.no_stock,
        peers=arguments.against,
    )
    return _shown(report, arguments)


def _recurrent_on_gpu(options, settings, arguments):
    from bsnn.training.bench.gpu_recurrent import REPLICAS, run_gpu_recurrent_bench

    report = run_gpu_recurrent_bench(
        **options,
        repeats=arguments.repeats,
        replicas=arguments.replicas or REPLICAS,
        arch=settings.cuda_arch,
    )
    return _shown(report, arguments)


def _neurons(settings, workload, arguments):
    from bsnn.training.bench.neurons import run_neurons_bench

    names = ["scale", "no_stock", *_OF_A_GPU]
    _refuse_ignored("neurons", names, arguments)
    return run_neurons_bench(
        workload,
        precision=settings.precision,
        seed=settings.seed,
        workers=settings.workers,
        repeats=arguments.repeats,
        peers=arguments.against,
    )


def _profile(settings, workload, arguments):
    from bsnn.training.bench.profile import run_profile

    names = ["against", "scale", "no_stock", "workers", "neurons", "compare"]
    names += _OF_A_GPU
    _refuse_ignored("profile", names, arguments)
    return run_profile(
        workload,
        precision=settings.precision,
        seed=settings.seed,
        repeats=arguments.repeats,
    )


def _suite(settings, workload, arguments):
    from bsnn.training.bench.suite import run_suite

    report = run_suite(
        settings,
        workload,
        repeats=arguments.repeats,
        stock=not arguments.no_stock,
        peers=arguments.against or None,
    )
    _write(arguments.out.with_suffix(".md"), report.to_page())
    return _shown(report, arguments)


def _shown(report, arguments):
    """Print a report, keep it if asked to; return the exit code."""
    print(report.table())
    if arguments.out:
        _write(arguments.out, report.to_json())
    if arguments.compare is not None:  # after it: what was measured is kept
        from bsnn.training.bench.regression import comparison_table

        new = json.loads(report.to_json())
        print(f"\n{comparison_table(new, arguments.compare)}")
    if report.unequal:
        print("bsnn: not the spikes that they should equal", file=sys.stderr)
    return 1 if report.unequal else 0


def _scale(settings, workload, arguments):
    from bsnn.analysis.figures.scaling import AXES
    from bsnn.training.bench.scale import run_scale

    rows = run_scale(settings, workload, repeats=arguments.repeats)
    return _drawn(rows, AXES, arguments)


def _growth(options, arguments):
    from bsnn.analysis.figures.scaling import RECURRENT_AXES
    from bsnn.training.bench.growth import growth_table, run_growth

    rows = run_growth(**options, repeats=arguments.repeats)
    print(growth_table(rows))
    return _drawn(rows, RECURRENT_AXES, arguments)


def _drawn(rows, axes, arguments):
    """Keep the rows of a table and its figures; return the exit code."""
    from bsnn.analysis.figures.scaling import make_scaling_figures

    out = arguments.out or Path("scaling")
    out.mkdir(parents=True, exist_ok=True)
    _write(out / "scaling.json", json.dumps(rows, indent=2) + "\n")
    for path in make_scaling_figures(rows, out, axes):
        print(path)
    return 0


def _write(path, text):
    from bsnn.files import replacing

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
