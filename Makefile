# The commands of this project. `make test` and `make bench` install what they need from Debian's
# packages where they may, and say what to install where they may not.

CARGO ?= cargo
BUILD_TOOLS = cc:build-essential
TEST_TOOLS = $(BUILD_TOOLS) ip:iproute2 nft:nftables unshare:util-linux openssl:openssl chromium:chromium ps:procps \
	git:git strip:binutils python3:python3 skopeo:skopeo update-ca-certificates:ca-certificates \
	prometheus_client.py:python3-prometheus-client
BENCH_TOOLS = $(BUILD_TOOLS) python3:python3 openssl:openssl nginx:nginx haproxy:haproxy \
	wrk:wrk h2load:nghttp2-client taskset:util-linux unshare:util-linux ip:iproute2 nft:nftables
INSTRUCTION_TOOLS = python3:python3 openssl:openssl h2load:nghttp2-client taskset:util-linux \
	valgrind:valgrind strace:strace unshare:util-linux ip:iproute2

.PHONY: demo static image release test corpus lint docs deny bench storm instructions

demo:
	@.ci/tools $(BUILD_TOOLS)
	$(CARGO) run --release -- demo

# The program of the image: one file that needs no library. Addresses to correct at its start are a bitmap in
# place of a table of 24 bytes each.
static:
	$(CARGO) rustc --locked --profile dist --bin bywash -- -C target-feature=+crt-static \
	  -C link-arg=-Wl,-z,pack-relative-relocs

# The image without an engine or a base image; `docker load` and `ctr images import` take it.
image: static
	@.ci/tools python3:python3 update-ca-certificates:ca-certificates
	release/image target/dist/bywash target/bywash.tar --most

# Everything that is published of a version, once `release/release prepare VERSION` is committed: docs/releases.md.
# PROGRAMS has one for each architecture, from `make static` there; ARGS=--trial does with that of this machine.
HELM ?= target/release-tools/helm
release: PROGRAMS ?= target/dist/bywash
release: static $(HELM)
	@.ci/tools git:git python3:python3 update-ca-certificates:ca-certificates
	release/release build --helm $(HELM) $(ARGS) $(PROGRAMS)

target/release-tools/helm: tests/helm/go.mod
	cd tests/helm && CGO_ENABLED=0 go build -trimpath -o $(CURDIR)/$@ helm.sh/helm/v4/cmd/helm

test:
	@.ci/tools $(TEST_TOOLS)
	$(CARGO) test

# Objects that nobody has seen yet: a real API server and `bywash check` refuse the same ones. SIZE=20000 makes more.
corpus: SIZE ?= 5000
corpus:
	@.ci/tools $(TEST_TOOLS)
	CORPUS_SEED=random CORPUS_SIZE=$(SIZE) $(CARGO) test --test cluster corpus -- --nocapture

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings

# What the code says, and the documents as a site in target/site.
docs:
	@.ci/tools $(BUILD_TOOLS)
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --no-deps
	CARGO=$(CARGO) .ci/site

deny:
	$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install cargo-deny --version 0.20.2 --locked --debug
	$(CARGO) deny check bans licenses sources

# ARGS="--rounds 9 --scenario keepalive-1k" or ARGS=--failures: see benches/peers/run --help.
bench:
	@.ci/tools $(BENCH_TOOLS)
	$(CARGO) build --release
	benches/peers/run $(ARGS)

# What a storm of failures makes the API server write: RATE failing requests a second.
storm: RATE ?= 5000
storm:
	@.ci/tools $(TEST_TOOLS)
	BYWASH_STORM_RATE=$(RATE) $(CARGO) test --release --test cluster storm -- --nocapture

# BEFORE=program AFTER=program: see benches/instructions --help.
instructions:
	@.ci/tools $(INSTRUCTION_TOOLS)
	benches/instructions $(ARGS) $(BEFORE) $(AFTER)
