"""Trains xgboost or scikit-learn on the files of bench/train.ts and prints what it cost.

usage: python3 train-peer.py xgboost|sklearn FOLDER NAME COLUMNS THREADS
The seconds are those of training alone, the making of xgboost's own matrix included, as binning is in ours. The memory is
the largest resident of the process when training has ended.
"""

import json
import sys
import time

import numpy


def read(folder, name, columns):
    values = numpy.fromfile(f"{folder}/{name}.values", dtype=numpy.float32).reshape(-1, columns)
    return values, numpy.fromfile(f"{folder}/{name}.labels", dtype=numpy.uint8)


def watch():
    """What is spent from now on until the result is called."""
    cpu, wall = time.process_time(), time.monotonic()

    def stop():
        with open("/proc/self/status") as status:
            peak = next(line for line in status if line.startswith("VmHWM:"))
        return {
            "cpu": time.process_time() - cpu,
            "wall": time.monotonic() - wall,
            "memory": int(peak.split()[1]) / 1024,
        }

    return stop


def train_xgboost(values, labels, threads):
    import xgboost

    settings = {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "max_depth": 6,
        "eta": 0.1,
        "lambda": 1,
        "max_bin": 256,
        "min_child_weight": 1,
        "nthread": threads,
    }
    stop = watch()
    data = xgboost.DMatrix(values, label=labels, nthread=threads)
    model = xgboost.train(settings, data, num_boost_round=100)
    return stop(), lambda rows: model.predict(xgboost.DMatrix(rows, nthread=1))


def train_sklearn(values, labels, threads):
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=100, learning_rate=0.1, max_leaf_nodes=31, l2_regularization=1, early_stopping=False
    )
    stop = watch()
    model.fit(values, labels)
    return stop(), lambda rows: model.predict_proba(rows)[:, 1]


def auc(labels, scores):
    """Mann and Whitney's statistic; scores of equal rows share their rank."""
    _, place, count = numpy.unique(scores, return_inverse=True, return_counts=True)
    last = numpy.cumsum(count)
    rank = (last - (count - 1) / 2)[place]
    positive = labels == 1
    wins = rank[positive].sum() - positive.sum() * (positive.sum() + 1) / 2
    return wins / (positive.sum() * (~positive).sum())


def main():
    peer, folder, name, columns, threads = *sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5])
    train = {"xgboost": train_xgboost, "sklearn": train_sklearn}[peer]
    spent, predict = train(*read(folder, name, columns), threads)
    values, labels = read(folder, "test", columns)
    scores = numpy.clip(predict(values).astype(numpy.float64), 1e-15, 1 - 1e-15)
    loss = -numpy.mean(numpy.where(labels == 1, numpy.log(scores), numpy.log(1 - scores)))
    print(json.dumps({**spent, "auc": float(auc(labels, scores)), "logLoss": float(loss)}))


main()
