# CPU seconds of R's survival and glmnet on the data of the Go benchmarks (analysis/survival/bench_test.go):
#   RFANODE_SHARED=../shared RFANODE_BENCH_DATA=DIR go test -run TestWriteBenchmarkData ./analysis/survival
#   Rscript reference/survival_bench.R DIR [small]
#   go test -run '^$' -bench 'Cox|PHTest|Concordance|KaplanMeier|Lasso' ./analysis/survival      (column cpu-ms/op)
suppressMessages({library(survival); library(glmnet)})
arg <- commandArgs(TRUE)
load <- function(name, n, p) {
  v <- matrix(readBin(file.path(arg[1], paste0(name, ".bin")), "double", n * (p + 2)), n)
  list(time = v[, 1], event = v[, 2], x = v[, -(1:2), drop = FALSE])
}
cpu <- function(what, expr) { t <- system.time(r <- expr); cat(sprintf("%-28s %8.3f CPU s\n", what, t[1] + t[2])); invisible(r) }
d <- load("cox", 1e5, 10); y <- Surv(d$time, d$event); e <- load("tied", 1e5, 10)
f <- cpu("coxph Efron 1e5 x 10", coxph(y ~ d$x))
cpu("coxph Efron, tied times", coxph(Surv(e$time, e$event) ~ e$x))
cpu("coxph Breslow", coxph(y ~ d$x, ties = "breslow"))
cpu("cox.zph", cox.zph(f, terms = FALSE))
lp <- d$x[, 1]
cpu("concordance 1e5", concordance(y ~ lp, reverse = TRUE))
cpu("survfit 1e5", survfit(y ~ 1))
if (file.exists(file.path(arg[1], "radiomics.bin"))) {
  r <- load("radiomics", 109, 1317); y <- Surv(r$time, r$event); x <- r$x[, -1]
  cpu("glmnet path 109 x 1,316", glmnet(x, y, family = "cox"))
  cpu("cv.glmnet, 10 folds", cv.glmnet(x, y, family = "cox", foldid = r$x[, 1]))
}
if (length(arg) < 2) {
  l <- load("lasso", 1e4, 1316)
  g <- cpu("glmnet path 10,000 x 1,316", glmnet(l$x, Surv(l$time, l$event), family = "cox"))
  cat(length(g$lambda), "lambdas, df", max(g$df), "\n"); k <- c(20, 40, 60, length(g$lambda))
  cat(sprintf("lambda %d dev.ratio %.8f\n", k, g$dev.ratio[k]), sep = "")
}
