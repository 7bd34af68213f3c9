"""What scikit-survival and firthmodels say of the synthetic cohort of reference/survival.R: the part of the reference
of analysis/survival that R's survival does not compute.

    pip install scikit-survival firthmodels
    python reference/survival.py analysis/survival/testdata
"""
import csv
import json
import sys

import numpy as np
from firthmodels import FirthCoxPH
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.metrics import brier_score, concordance_index_ipcw, cumulative_dynamic_auc, integrated_brier_score
from sksurv.util import Surv

folder = sys.argv[1]
rows = list(csv.DictReader(open(f"{folder}/cohort.csv")))
value = lambda name: np.array([float(r[name]) for r in rows])
time, event = value("time"), value("event") == 1
x = np.column_stack([value(n) for n in ("age", "marker", "treated")])
half = np.arange(len(rows)) % 2 == 1  # the second, fourth, ... row is the new set
y = Surv.from_arrays(event, time)
train, test = y[~half], y[half]

fit = CoxPHSurvivalAnalysis(ties="efron", tol=1e-14).fit(x[~half], train)
lp = x[half] @ fit.coef_
horizons, grid = [6.0, 12.0, 18.0], np.arange(4, 18.01, 0.5)
surv = np.array([f(grid) for f in fit.predict_survival_function(x[half])])
at = np.array([f(horizons) for f in fit.predict_survival_function(x[half])])
out = {"coef": list(fit.coef_), "horizons": horizons, "surv": at.tolist()}
for name, g in (("own", test), ("train", train)):
    out[name] = {
        "brier": brier_score(g, test, at, horizons)[1].tolist(),
        "ibs": float(integrated_brier_score(g, test, surv, grid)),
        "auc": cumulative_dynamic_auc(g, test, lp, horizons)[0].tolist(),
        "uno": float(concordance_index_ipcw(g, test, lp, tau=18)[0]),
    }

# Nearly separated: nobody of the first eight treated subjects has the event, so Firth's penalty decides.
rare = np.zeros(len(rows))
rare[np.flatnonzero(~event)[:12]] = 1
z = np.column_stack([value("age"), rare])
firth = FirthCoxPH(gtol=1e-8, xtol=1e-10).fit(z, (event, time))
out["firth"] = {"rare": rare.astype(int).tolist(), "coef": list(firth.coef_), "loglik": float(firth.loglik_)}
json.dump(out, open(f"{folder}/cohort_py.json", "w"))
