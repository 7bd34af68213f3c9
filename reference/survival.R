# Makes the reference that the tests of analysis/survival stand on when nothing else is at hand: a small synthetic cohort
# (analysis/survival/testdata/cohort.csv) and what R's survival and glmnet say about it (cohort_R.json).
#   apt-get install r-base-core r-cran-survival r-cran-glmnet r-cran-jsonlite
#   Rscript reference/survival.R analysis/survival/testdata
# No patient data: every number is drawn here. Times have one decimal, so that events are tied; centre c has no event.
suppressMessages({library(survival); library(glmnet); library(jsonlite)})
out <- commandArgs(TRUE)[1]
set.seed(20260311)
n <- 90; p <- 120
age <- round(rnorm(n, 66, 9)); marker <- round(rlnorm(n, 1, .4), 2); treated <- rbinom(n, 1, .45)
centre <- sample(c("a", "b", "c"), n, TRUE, c(.5, .35, .15))
latent <- matrix(rnorm(n * 8), n)
x <- matrix(0, n, p)
for (j in 1:p) x[, j] <- .8 * latent[, 1 + j %% 8] + .6 * rnorm(n)
x <- round(x %*% diag(10^(seq(-1, 2, length.out = p))), 3)
lp <- .03 * (age - 66) + .5 * log(marker) - .9 * treated + .8 * latent[, 2] - .5 * latent[, 5]
t1 <- 18 * (-log(runif(n)) * exp(-lp))^.8; t2 <- 90 * -log(runif(n)); tc <- runif(n, 6, 60)
cause <- ifelse(t1 <= pmin(t2, tc), 1, ifelse(t2 <= tc, 2, 0))
time <- pmax(.1, round(pmin(t1, t2, tc) * 2) / 2)
cause[centre == "c" & cause == 1] <- 0
event <- as.integer(cause == 1)
group <- sample(0:2, n, TRUE)
d <- data.frame(time, event, cause, age, marker, treated, centre, group)
fold <- integer(n); fold[event == 1] <- sample(rep(1:5, length.out = sum(event))); fold[event == 0] <- sample(rep(1:5, length.out = sum(!event)))
write.csv(cbind(d, fold, setNames(as.data.frame(x), paste0("f", 1:p))), file.path(out, "cohort.csv"), row.names = FALSE, quote = FALSE)

ctl <- coxph.control(eps = 1e-12, toler.chol = 1e-14, iter.max = 100)
describe <- function(f) {
  s <- summary(f); b <- basehaz(f, centered = FALSE)
  z <- lapply(setNames(nm = c("km", "rank", "identity")), function(tr) list(chisq = unname(cox.zph(f, transform = tr, terms = FALSE)$table[, "chisq"])))
  list(coef = unname(coef(f)), se = unname(sqrt(diag(vcov(f)))), var = unname(vcov(f)), z = unname(s$coefficients[, "z"]), p = unname(s$coefficients[, "Pr(>|z|)"]),
       lo = unname(s$conf.int[, 3]), hi = unname(s$conf.int[, 4]), loglik = f$loglik, lrt = unname(s$logtest), score = unname(s$sctest), zph = z,
       basehaz = if (is.null(b$strata)) list(time = b$time, cumhaz = b$hazard), martingale = unname(residuals(f, "martingale")))
}
y <- Surv(time, event)
cox <- function(...) coxph(..., data = d, control = ctl)
r <- list(versions = list(R = R.version.string, survival = as.character(packageVersion("survival")), glmnet = as.character(packageVersion("glmnet"))))
r$efron <- describe(cox(y ~ age + marker + treated))
r$breslow <- describe(cox(y ~ age + marker + treated, ties = "breslow"))
r$stratified <- describe(cox(y ~ age + marker + treated + strata(centre)))
r$offset <- describe(cox(y ~ treated + offset(.03 * age)))
r$km <- lapply(setNames(nm = c("log", "log-log", "plain")), function(ty) {
  s <- survfit(y ~ 1, conf.type = ty)
  list(time = s$time, surv = s$surv, std.err = s$std.err, lower = s$lower, upper = s$upper, quantile = lapply(quantile(s, c(.1, .25, .5)), unname))
})
lr <- function(rho) { s <- survdiff(y ~ group, rho = rho); list(obs = s$obs, exp = s$exp, var = s$var, chisq = s$chisq, p = s$pvalue) }
r$logrank <- list(rho0 = lr(0), rho1 = lr(1))
s <- survdiff(y ~ group + strata(centre)); r$logrank$stratified <- s$chisq
f <- cox(y ~ age + marker + treated); lp <- predict(f, type = "lp")
r$concordance <- lapply(setNames(nm = c("n", "S", "S/G", "n/G2", "I")), function(w) {
  k <- concordance(y ~ lp, reverse = TRUE, timewt = w); list(C = unname(k$concordance), var = unname(k$var), count = unname(k$count[1:5])) })
tied <- round(10 * (lp - min(lp))); k <- concordance(y ~ tied, reverse = TRUE); r$concordance_tied <- list(C = unname(k$concordance), var = unname(k$var), count = unname(k$count[1:5]))
half <- seq_len(n) %% 2 == 0
f2 <- coxph(Surv(time[!half], event[!half]) ~ age[!half] + marker[!half] + treated[!half], control = ctl)
lp2 <- as.vector(cbind(age, marker, treated)[half, ] %*% coef(f2)); s <- coxph(Surv(time[half], event[half]) ~ lp2, control = ctl)
r$slope <- list(coef_train = unname(coef(f2)), slope = unname(coef(s)), se = unname(sqrt(vcov(s)[1, 1])))
ms <- survfit(Surv(time, factor(cause, 0:2)) ~ 1); at <- summary(ms, times = c(6, 12, 24))
r$cif <- list(times = c(6, 12, 24), one = at$pstate[, 2], two = at$pstate[, 3])
pick <- function(v) list(kruskal = unlist(kruskal.test(v, factor(group))[c("statistic", "p.value")], use.names = FALSE), shapiro = unlist(shapiro.test(v)[c("statistic", "p.value")], use.names = FALSE),
  welch = unlist(t.test(v ~ treated)[c("statistic", "parameter", "p.value")], use.names = FALSE), t = unlist(t.test(v ~ treated, var.equal = TRUE)[c("statistic", "parameter", "p.value")], use.names = FALSE),
  wilcoxon = c(suppressWarnings(wilcox.test(v[treated == 0], v[treated == 1])$statistic), suppressWarnings(wilcox.test(v[treated == 0], v[treated == 1])$p.value), suppressWarnings(wilcox.test(v[treated == 0], v[treated == 1], correct = FALSE)$p.value)),
  quantile7 = unname(quantile(v, c(.1, .25, .5, .9))), quantile6 = unname(quantile(v, c(.1, .25, .5, .9), type = 6)))
r$table1 <- list(age = pick(age), marker = pick(marker), shapiro_small = lapply(c(3, 5, 8, 11, 12), function(m) unname(shapiro.test(marker[1:m])$p.value)))
tab <- table(factor(centre), group); tt <- table(treated, group)
r$counts <- list(centre = list(table = unname(as.matrix(unclass(tab))), chi2 = unname(suppressWarnings(chisq.test(tab, correct = FALSE)$statistic)), fisher = fisher.test(tab, workspace = 2e7)$p.value),
  treated = list(table = unname(as.matrix(unclass(tt))), chi2 = unname(chisq.test(tt, correct = FALSE)$statistic), fisher = fisher.test(tt)$p.value))
lambda <- glmnet(x, y, family = "cox")$lambda
path <- function(alpha, count) {
  l <- if (alpha == 1) lambda else glmnet(x, y, family = "cox", alpha = alpha)$lambda
  l <- l[seq_len(min(count, length(l)))]
  cv <- cv.glmnet(x, y, family = "cox", alpha = alpha, foldid = fold, lambda = l, thresh = 1e-12, maxit = 1e7)
  g <- cv$glmnet.fit; b <- as.matrix(g$beta)
  list(lambda = g$lambda, dev.ratio = g$dev.ratio, nulldev = g$nulldev, cvm = cv$cvm, cvsd = cv$cvsd, lambda.min = cv$lambda.min, lambda.1se = cv$lambda.1se,
       path = lapply(seq_len(ncol(b)), function(k) { i <- which(b[, k] != 0); list(idx0 = I(unname(i) - 1), coef = I(unname(b[i, k]))) }))
}
r$lasso <- path(1, 30); r$enet <- path(.5, 25)
write(toJSON(r, digits = NA, auto_unbox = TRUE), file.path(out, "cohort_R.json"))
