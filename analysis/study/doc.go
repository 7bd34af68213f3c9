// Package study does with a cohort what Wang et al. 2026 (doi 10.13929/j.issn.1003-3289.2026.03.004) did with theirs:
// baseline table, Cox regression, redundancy filter and LASSO to a Radscore, DeepSurv, performance in an internal and an
// external set, figures, and a model bundle for the node. Cohort in, report and bundle out; no network, no images.
//
// Recipe (Run): read the tables - split - Table 1 - Cox, univariable and multivariable - fit the pipeline on the training
// rows (filter, Radscore, two Cox models, DeepSurv ensemble, baselines) - score every set once with what is frozen -
// figures - files.
//
// Leakage is kept out by types: a Fitted value comes only from Fit, which sees a View of training rows; whatever is
// selected, standardised, imputed or tuned happens inside. Fit is also what nested cross-validation, the optimism
// bootstrap and the permutation test run, so that they measure the whole procedure. Same input, specification and seed
// give the same bytes at any number of processors.
package study
