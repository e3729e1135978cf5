#!/bin/sh
# The study of docs/results.md: every run, table and figure in it but for those of the
# defaults. Settings are those published, but for what the options say.
#
#   examples/study.sh FOLDER RESULTS         hours on two cores; may be stopped, and goes
#                                            on where it stood when called again
#   examples/study.sh FOLDER RESULTS quick   ten minutes: fewer cells, epochs and samples
#
# Runs go into FOLDER, pages with their figures and tables into RESULTS. The data sets
# are read from BSNN_DATA; DATASETS="mnist fashion-mnist" leaves EMNIST out.
set -eu
here=$(dirname "$0") folder=$1 results=$2 mode=${3:-full}
rules="grid quantised-event"
set --  # from here on the runs on a grid as published

sweep() {
    (set -x; bsnn sweep $dataset --preset published "$@" $smaller --out "$folder/$page")
}

for dataset in ${DATASETS:-mnist fashion-mnist emnist}; do
    smaller="" page=$dataset
    case $mode,$dataset in
    quick,*)
        smaller="--epochs 2 --n-train 10000 --n-test 2000"
        sweep --dt-ms 8 1 --rules $rules
        sweep --dt-ms 4 --spike-penalty 0 0.01
        ;;
    full,mnist)
        sweep --dt-ms 1 8 4 --rules $rules
        sweep --dt-ms 4 --spike-penalty 0.003 0.01 0.02
        sweep --dt-ms 4 8 12 --true 8 --false 2
        sweep --dt-ms 0 0.5 2 5 7 10 12 --rules $rules
        sweep --dt-ms 0 0.5 1 2 4 5 7 8 10 12 --rules $rules --seeds 1 2
        sweep --dt-ms 1 4 8 12 --slope-min 5
        sweep --dt-ms 4 8 --slope-min 5 --seeds 1 2
        sweep --dt-ms 4 --slope-min 20
        sweep --dt-ms 4 --slope-min 5 --spike-penalty 0.01 0.02 0.05
        ;;
    full,fashion-mnist)
        # The published runs of the event rule had these limits; the others need none.
        limits="--max-spikes 5 5 20"
        sweep --dt-ms 8 1 4 5 0 --rules $rules $limits
        sweep --dt-ms 8 --spike-penalty 0.001 0.003
        sweep --dt-ms 8 1 --rules $rules $limits --seeds 1 2
        awake="--initial-mean 0 0 0.1"  # outputs that fire before training
        sweep --dt-ms 8 $awake --seeds 0 1 2
        sweep --dt-ms 1 $awake --rules quantised-event $limits --seeds 1
        sweep --dt-ms 8 $awake --slope-min 5 --seeds 0 1 2
        sweep --dt-ms 1 $awake --slope-min 5
        sweep --dt-ms 8 $awake --slope-min 5 --spike-penalty 0.001 0.003
        page=$dataset-start  # how many outputs are silent before and after an epoch
        start="--epochs 1 --dt-ms 8 --seeds 0 1 2 3 4 5 6 7 8 9 10 11"
        sweep $start
        sweep $start $awake
        (set -x; python "$here/silent_outputs.py" "$folder/$page"/*_seed*[0-9] \
            --out "$results/silent_outputs.csv")
        page=$dataset
        ;;
    full,emnist)
        sweep --dt-ms 1 8 4 0 10 --rules $rules
        sweep --dt-ms 4 8 --spike-penalty 0.003 0.01
        sweep --dt-ms 8 --true 8 --false 2
        sweep --dt-ms 4 8 --rules grid --seeds 1 2
        sweep --dt-ms 8 10 4 1 --slope-min 5
        sweep --dt-ms 4 8 --slope-min 5 --seeds 1 2
        for slope in 1 2 20; do sweep --dt-ms 8 --slope-min $slope; done
        sweep --dt-ms 4 --slope-min 5 --spike-penalty 0.003 0.01 0.03
        ;;
    esac
    for run in "$folder"/$dataset/*_grid_dt*_seed0; do
        case ${run##*_grid_dt} in
        *_*_slope5_seed0) continue ;;
        *_slope5_seed0) set -- "$@" "$run"; continue ;;
        *_*_seed0) continue ;;  # another loss or start
        esac
        set -- "$@" "$run"
        if [ $dataset = mnist ]; then
            (set -x; bsnn evaluate "$run" --dt-ms 0 0.5 1 2 4 5 7 8 10 12)
        fi
    done
    (set -x; bsnn one-neuron "$folder/$dataset")
    (set -x; bsnn report "$folder/$dataset" --out "$results/$dataset.md")
done
chosen() {  # validation chooses the epoch, and ends the training; the test comes once
    dataset=$1 name=$2
    shift 2
    (set -x; bsnn train "$dataset" --learning-rate-factor 0.5 --learning-rate-patience 2 \
        --patience 6 --epochs 40 "$@" --resume --out "$folder/chosen/$dataset-$name")
}

if [ "$mode" = full ]; then
    for dataset in ${DATASETS:-mnist fashion-mnist emnist}; do
        case $dataset in
        mnist)
            chosen mnist plain --dt-ms 1 --spike-penalty 0.004 \
                --learning-rate-patience 3 --patience 10 --epochs 50
            chosen mnist sparse --dt-ms 4 --spike-penalty 0.02 \
                --learning-rate-patience 3 --patience 10 --epochs 50
            chosen mnist accurate --dt-ms 2 --spike-penalty 0.002 --layers 784 1600 10 \
                --batch-size 100 --learning-rate-patience 3 --patience 10 --epochs 50
            chosen mnist early --dt-ms 2 --spike-penalty 0.004 --latency-weight 2 \
                --duration-ms 130 --t-max-ms 60
            # Images moved by a pixel: what is learned hangs less on each pixel's place.
            moved="--layers 784 1600 10 --max-shift 1 --batch-size 100"
            moved="$moved --learning-rate-patience 3 --patience 10 --epochs 60"
            for seed in 0 1 2; do
                chosen mnist moved-$seed --dt-ms 2 --spike-penalty 0.002 $moved --seed $seed
            done
            chosen mnist moved-sparse --dt-ms 4 --spike-penalty 0.02 $moved
            chosen mnist moved-early --dt-ms 2 --spike-penalty 0.004 $moved \
                --latency-weight 2 --duration-ms 130 --t-max-ms 60
            ;;
        fashion-mnist)
            more="--batch-size 20 --learning-rate 0.001 --epochs 30"
            chosen fashion-mnist sparse --dt-ms 4 --spike-penalty 0.001 $more
            chosen fashion-mnist accurate --dt-ms 2 --spike-penalty 0.0005 \
                --layers 784 800 400 10 $more
            ;;
        emnist)
            chosen emnist sparse --dt-ms 4 --spike-penalty 0.005
            chosen emnist wide --dt-ms 4 --spike-penalty 0.002 --layers 784 1600 47 \
                --v-threshold 0.2 1.3
            ;;
        esac
    done
    # A loss for early answers, and its front.
    case " ${DATASETS:-mnist} " in *" mnist "*)
        for weight in 0 0.5 2 8; do
            (set -x; bsnn sweep mnist --n-train 12000 --epochs 6 --dt-ms 2 \
                --spike-penalty 0 0.01 --latency-weight $weight --out "$folder/latency")
        done
        (set -x; bsnn plot "$folder/latency" --out "$folder/latency-figures"
        for kind in png csv; do
            cp "$folder/latency-figures/decision.$kind" "$results/latency.$kind"
        done)
    esac
    # What stands for the derivative of a spike.
    kinds="straight-through triangle fast-sigmoid"
    few="--n-train 12000 --epochs 6"
    for dataset in ${DATASETS:-mnist fashion-mnist}; do
        case $dataset in
        mnist)
            (set -x; bsnn sweep mnist $few --dt-ms 0.5 1 2 4 8 12 --seeds 0 1 2 \
                --estimator $kinds straight-through-end --out "$folder/estimators"
            bsnn sweep mnist $few --dt-ms 4 --spike-penalty 0 0.003 0.01 0.03 \
                --estimator $kinds --out "$folder/estimators-price"
            bsnn plot "$folder/estimators" --out "$results/estimators"
            bsnn gradient-error "$folder"/estimators/mnist_grid_dt1_seed0 \
                --out "$results/estimators")
            ;;
        fashion-mnist)
            (set -x; bsnn sweep fashion-mnist $few --batch-size 20 --seeds 0 1 2 \
                --learning-rate 0.001 --dt-ms 1 4 12 --estimator $kinds \
                --out "$folder/estimators-fashion"
            bsnn plot "$folder/estimators-fashion" \
                --out "$results/estimators/fashion-mnist")
            ;;
        esac
    done
    (set -x; python "$here/missing_spikes.py" --dataset fashion-mnist --seeds 0 1 2 \
        --out "$results/estimators/missing-spikes.csv")
    yin_yang() {
        for neuron in lif qif; do
            (set -x; python "$here/yin_yang.py" --neuron $neuron --epochs 20 "$@" \
                --out "$results/estimators/yin-yang.csv")
        done
    }
    for kind in $kinds; do
        for dt in 12 8 4 2 1 0.5; do
            for seed in 0 1 2; do
                yin_yang --dt-ms $dt --estimator $kind --seed $seed
            done
        done
        for dt in 0.2 0.1 0.01; do  # the longest: one seed, but of straight-through
            yin_yang --dt-ms $dt --estimator $kind
        done
    done
    for seed in 1 2; do
        yin_yang --dt-ms 0.2 --estimator straight-through --seed $seed
        yin_yang --dt-ms 0.1 --estimator straight-through --seed $seed
    done
    for seed in 0 1 2; do
        for dt in 0.5 0.2; do
            (set -x; python "$here/yin_yang.py" --hidden 800 --epochs 60 --dt-ms $dt \
                --seed $seed --out "$results/estimators/yin-yang.csv")
        done
    done
    (set -x; python "$here/yin_yang_figure.py" "$results/estimators/yin-yang.csv" \
        "$results/estimators/yin-yang.png")
    speech="python $here/spoken_digits.py --epochs 40 --out $results/spoken-digits.csv"
    steps="0.5 1 2 5 10"
    for dt in $steps; do
        for kind in "" --feed-forward --delays; do
            (set -x; $speech --dt-ms $dt $kind --test-dt-ms $steps)
        done
    done
    for seed in 1 2; do  # the shorter ones
        for dt in 10 5 2; do
            for kind in "" --feed-forward --delays; do
                (set -x; $speech --seed $seed --dt-ms $dt $kind --test-dt-ms $steps)
            done
        done
    done
    for seed in 0 1 2; do
        for dt in 10 5 2; do
            for kind in triangle straight-through; do
                (set -x; $speech --seed $seed --dt-ms $dt --estimator $kind)
            done
        done
    done
    (set -x; python "$here/spoken_digits_figure.py" "$results/spoken-digits.csv" \
        "$results/spoken-digits.png"
    python "$here/spoken_digits_figure.py" "$results/spoken-digits.csv" \
        "$results/estimators/spoken-digits.png" --estimators)
fi
(set -x; python "$here/saturation.py" "$@" --out "$results/saturation.csv")
