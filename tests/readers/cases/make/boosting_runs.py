"""XGBoost, LightGBM and CatBoost: what they print, and CatBoost's own files."""

from __future__ import annotations

import catboost
import lightgbm
import xgboost
from digits import digits
from making import case, main, note_all


def note_columns(columns: dict[str, list[float]]) -> None:
    for name, values in columns.items():
        for value in values:
            note_all({name: value})


@case("xgboost3/healthy")
def xgboost_healthy() -> None:
    fit, held_out = (xgboost.DMatrix(x, y) for x, y in digits())
    seen: dict = {}
    xgboost.train(
        {"objective": "multi:softprob", "num_class": 10, "eta": 0.2, "max_depth": 3, "nthread": 1}, fit, 40,
        evals=[(fit, "train"), (held_out, "eval")], evals_result=seen,
    )  # fmt: skip
    note_columns({"train/mlogloss": seen["train"]["mlogloss"], "val/mlogloss": seen["eval"]["mlogloss"]})


@case("xgboost3/random_labels")
def xgboost_random_labels() -> None:
    (x, y), held_out = digits(train=300, noise=0.6)
    model = xgboost.XGBClassifier(n_estimators=80, learning_rate=0.5, max_depth=6, n_jobs=1)
    model.fit(x, y, eval_set=[(x, y), held_out], verbose=True)
    seen = model.evals_result()
    note_columns({"val/mlogloss": seen["validation_0"]["mlogloss"], "val_1/mlogloss": seen["validation_1"]["mlogloss"]})


@case("lightgbm4/healthy")
def lightgbm_healthy() -> None:
    fit, held_out = digits()
    made = lightgbm.Dataset(*fit)
    seen: dict = {}
    lightgbm.train(
        {"objective": "multiclass", "num_class": 10, "learning_rate": 0.1, "num_leaves": 7, "num_threads": 1},
        made, 200, valid_sets=[made, lightgbm.Dataset(*held_out, reference=made)], valid_names=["train", "valid"],
        callbacks=[lightgbm.log_evaluation(5), lightgbm.record_evaluation(seen), lightgbm.early_stopping(15)],
    )  # fmt: skip
    for name in ("train", "valid"):
        note_columns({f"{name.replace('valid', 'val')}/multi_logloss": seen[name]["multi_logloss"][4::5]})


@case("catboost1/healthy")
def catboost_healthy() -> None:
    fit, held_out = digits()
    model = catboost.CatBoostClassifier(
        iterations=60, learning_rate=0.2, depth=4, loss_function="MultiClass", thread_count=1, verbose=1
    )
    model.fit(*fit, eval_set=held_out)
    seen = model.get_evals_result()
    note_columns({"train/MultiClass": seen["learn"]["MultiClass"], "test/MultiClass": seen["validation"]["MultiClass"]})


main("xgboost-cpu", "lightgbm", "catboost")
