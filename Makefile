# make demo   the main job on a synthetic patient, nothing to set up
# make test   everything the project is held to; installs what it needs
# Slow runs have targets of their own: make bench, make fuzz, make soak, make phantoms SEEDS=1-10

GO      ?= go
SEEDS   ?= 1-10
FUZZTIME ?= 1m
FUZZ    := dimse:FuzzPDU dimse:FuzzCommand dimse:FuzzAttributes dimse:FuzzDataSet scp:FuzzAssociation \
	analysis/ct:FuzzReadHeader analysis/ct/codec:FuzzDecode analysis/ct/codec:FuzzFragments
VENV    := .venv
PYTHON  := $(CURDIR)/$(VENV)/bin/python
APT     := dcmtk orthanc dicom3tools

.PHONY: build demo test lint bench bench-peers bench-nnunet bench-radiomics bench-survival pyradiomics fuzz soak phantoms pictures tools venv images onnxruntime clean

build:
	$(GO) build -o bin/rfanode ./cmd/rfanode

demo: build
	bin/rfanode demo --out demo

test: tools venv onnxruntime images lint
	RFANODE_REQUIRE_TOOLS=1 RFANODE_PYTHON=$(PYTHON) tools/test

lint:
	test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

# Speed and memory, then the accuracy of registration over real anatomy (needs the shared data; half an hour).
bench: tools
	$(GO) test -run '^$$' -bench . -skip 'Moved|RealPairs' -benchmem ./...
	$(GO) test -run '^$$' -bench 'Moved|RealPairs' -benchtime 1x -timeout 2h ./analysis/register

# Registration beside greedy, in one run: make bench-peers CASES="DIR ..."
bench-peers: build venv
	$(PYTHON) -m pip install -q picsl_greedy==1.4.0.3
	$(PYTHON) reference/registration_peers.py --rfanode bin/rfanode $(CASES)

# nnU-Net's own predictor beside rfanode, in one run (installs PyTorch, a gigabyte): make bench-nnunet [CT=FILE.nii.gz]
bench-nnunet: build venv onnxruntime
	$(PYTHON) -m pip install -q nnunetv2==2.8.1 torch==2.15.0 onnx==1.23.2 onnxruntime==1.32.0
	RFANODE_ONNXRUNTIME=$(CURDIR)/.cache/libonnxruntime.so $(PYTHON) reference/nnunet_bench.py --rfanode bin/rfanode $(if $(CT),--ct $(CT))

# PyRadiomics beside rfanode, a row a case; needs Python 3.11.
pyradiomics:
	PYTHON=python3.11 tools/pyradiomics
bench-radiomics: build pyradiomics
	.cache/pyradiomics/bin/python reference/radiomics_peers.py --rfanode bin/rfanode --python .cache/pyradiomics/bin/python --data .cache/pyradiomics-data

# R's survival and glmnet, then ours, on the same data.
bench-survival:
	tools/install r-base-core r-cran-survival r-cran-glmnet r-cran-jsonlite
	mkdir -p .cache/survival
	RFANODE_BENCH_DATA=$(CURDIR)/.cache/survival $(GO) test -count=1 -run TestWriteBenchmarkData ./analysis/survival
	Rscript reference/survival_bench.R .cache/survival
	$(GO) test -run '^$$' -bench . ./analysis/survival

# What reads bytes from the network, each for FUZZTIME.
fuzz:
	set -e; for t in $(FUZZ); do $(GO) test -run '^$$' -fuzz "^$${t#*:}\$$" -fuzztime $(FUZZTIME) ./$${t%:*}; done

# kill -9 at 100 random moments of a transfer.
soak:
	RFANODE_SOAK=1 $(GO) test -run TestKilled -timeout 2h -v ./scp

# The accuracy table for any seeds: measured against true, a line a phantom pair.
phantoms: build
	bin/rfanode phantom table --seeds $(SEEDS)

# The pictures of docs/method.md, drawn anew.
pictures:
	$(GO) run ./docs/pictures

# DICOM peers and validators that the tests stand on.
tools:
	tools/install $(APT)

# The library that nnU-Net models run in, pinned in the script; tests look for it there.
onnxruntime:
	tools/install-onnxruntime .cache

# The images that PyRadiomics is tested on; the features are held to its values there.
images: venv
	tools/pyradiomics-images $(VENV)/bin/pip

# The reference readers, pinned in tools/requirements.txt.
venv: $(VENV)/.installed
$(VENV)/.installed: tools/requirements.txt
	tools/install-venv $(VENV) tools/requirements.txt
	touch $@

clean:
	rm -rf bin demo $(VENV) .cache
