# One entry for people and CI; `make verify` is what must be green before a change lands.
CARGO ?= cargo

.PHONY: verify fmt lint test doc fix demo

verify: fmt lint test doc

fmt:
	$(CARGO) fmt --all -- --check

lint:
	$(CARGO) clippy --locked --all-targets -- -D warnings

test:
	$(CARGO) test --locked

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items

fix:
	$(CARGO) fmt --all
	$(CARGO) clippy --all-targets --fix --allow-dirty --allow-staged

demo:
	$(CARGO) run --release --locked -- demo
