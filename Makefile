# The project's commands are the scripts; this is for fingers that type make.
.PHONY: setup check format test nightly demo bench
setup:
	./scripts/setup test
check: setup
	./scripts/check
format: setup
	.venv/bin/ruff format . && .venv/bin/ruff check --fix .
test:
	./scripts/test
nightly:
	./scripts/test --nightly
demo:
	./scripts/demo
bench:
	./scripts/bench
