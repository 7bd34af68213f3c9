// Package survival holds the statistics of right-censored follow-up that a prognosis study needs, and nothing else: no
// files, no images, no clock, no global random numbers. Everything is float64, every random choice takes a seed, and the
// same input gives the same bits whatever the number of processors.
//
//	Kaplan-Meier, log-rank                        KaplanMeier, LogRank
//	Cox regression, Firth's penalty, PH test      Cox, (*CoxFit).PHTest, (*CoxFit).ProfileCI
//	competing risks (Aalen-Johansen)              CumulativeIncidence, AbsoluteRisk
//	discrimination (Harrell, Uno, AUC)            Concordance, AUC
//	accuracy and calibration                      Brier, IntegratedBrier, IPA, ObservedExpected, CalibrationCurve
//	decision curve                                NetBenefit
//	redundancy filter, LASSO-Cox with CV          PearsonFilter, Lasso, LassoCV
//	tests of a table of baseline characteristics  ANOVA, KruskalWallis, ChiSquare, FisherExact, ShapiroWilk, ...
//	DeepSurv                                      TrainDeepSurv, TrainEnsemble
//
// Conventions. Covariates are columns: x[j][i] is covariate j of subject i. An outcome is coded 0 censored, 1 the event,
// 2 a competing event; whatever is not 1 counts as censored for the hazard of the event (cause-specific), and whatever
// is 0 counts as censoring for the censoring distribution. Times that differ by less than 1e-8 of the mean time are one
// time, as in R's survival, so that 22.6 read from two files is tied with itself.
//
// The definitions are those of R's packages survival 3.5 and glmnet 4.1, which the tests compare with; where programs
// differ (ties, the censoring distribution at an event time) the option names both.
package survival
