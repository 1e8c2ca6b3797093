# The commands of this project. `make test` and `make bench` install what they need from Debian's
# packages where they may, and say what to install where they may not.

CARGO ?= cargo
BUILD_TOOLS = cc:build-essential
TEST_TOOLS = $(BUILD_TOOLS) ip:iproute2 nft:nftables unshare:util-linux openssl:openssl chromium:chromium
BENCH_TOOLS = $(BUILD_TOOLS) python3:python3 openssl:openssl nginx:nginx haproxy:haproxy \
	wrk:wrk h2load:nghttp2-client taskset:util-linux unshare:util-linux ip:iproute2 nft:nftables
INSTRUCTION_TOOLS = python3:python3 openssl:openssl h2load:nghttp2-client taskset:util-linux \
	valgrind:valgrind strace:strace unshare:util-linux ip:iproute2

.PHONY: demo test lint docs deny bench instructions

demo:
	@.ci/tools $(BUILD_TOOLS)
	$(CARGO) run --release -- demo

test:
	@.ci/tools $(TEST_TOOLS)
	$(CARGO) test

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings

docs:
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --no-deps

deny:
	$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install cargo-deny --version 0.20.2 --locked --debug
	$(CARGO) deny check bans licenses sources

# ARGS="--rounds 9 --scenario keepalive-1k" or ARGS=--failures: see benches/peers/run --help.
bench:
	@.ci/tools $(BENCH_TOOLS)
	$(CARGO) build --release
	benches/peers/run $(ARGS)

# BEFORE=program AFTER=program: see benches/instructions --help.
instructions:
	@.ci/tools $(INSTRUCTION_TOOLS)
	benches/instructions $(ARGS) $(BEFORE) $(AFTER)
