# Everything sets itself up: `make demo` shows Heimdex at work, `make test` proves it.
.PHONY: demo test setup model lint features package bindings bench faults server server-test server-bench

FEATURES := media image candle onnx hub sqlite postgres whisper cli bindings testing full

demo: setup
	cargo build --quiet -p heimdex --features full
	dev/demo

setup:
	dev/setup

model:
	dev/get-model

# Everything at once on this machine: Postgres, storage in a folder, a worker inside. Prints its address.
server: setup
	dev/get-model >/dev/null || true
	cargo build --release --quiet -p heimdex-server
	DATABASE_URL=$${DATABASE_URL:-$$(dev/postgres)} exec $${CARGO_TARGET_DIR:-target}/release/heimdex-server

# What takes long: the API against its own description, the page in a browser.
server-test:
	examples/server/dev/schemathesis
	examples/server/e2e/run

# Load, broken connections and kills, printed.
server-bench:
	cargo build --release --quiet -p heimdex-server
	benches/server.py

# The order puts what fails fastest first; the tests' summary comes last.
test:
	dev/setup test
	dev/get-model || [ -z "$(CI)" ]
	dev/onnxruntime || [ -z "$(CI)" ]
	$(MAKE) lint features package
	cargo test --workspace --features heimdex/full --doc
	cargo nextest run --workspace --features heimdex/full --no-run
	HEIMDEX_SERVER=$$(realpath $${CARGO_TARGET_DIR:-target})/debug/heimdex-server examples/server/dev/schemathesis
	$(MAKE) bindings
	DATABASE_URL=$${DATABASE_URL:-$$(dev/postgres)} HEIMDEX_REQUIRE_POSTGRES=$(CI) \
	HEIMDEX_REQUIRE_MODEL=$(CI) HEIMDEX_REQUIRE_ONNXRUNTIME=$(CI) cargo nextest run --workspace --features heimdex/full --no-fail-fast

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --features heimdex/full -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --features heimdex/full --no-deps --quiet
	cargo deny --log-level error check bans licenses sources

# Each feature builds alone, and without any nothing heavy comes along.
features:
	cargo check --quiet -p heimdex --no-default-features
	for feature in $(FEATURES); do cargo check --quiet -p heimdex --no-default-features --features $$feature || exit 1; done
	! cargo tree -p heimdex --no-default-features -e normal --prefix none | grep -E '^(ffmpeg|candle|whisper|sqlx|ort|tokenizers)'

# The packed crate builds by itself, migrations included.
package:
	cargo package -p heimdex --allow-dirty --features sqlite,postgres

# The long form of a test: workers are killed, Postgres is restarted, while videos are indexed.
faults: setup
	benches/faults.sh

# Python and Node: built, packed, installed into clean places, and held to the core and to each other. What
# is generated has to be as it is kept.
bindings:
	dev/node
	git diff --exit-code heimdex-node/native.d.ts
	url=$${DATABASE_URL:-$$(dev/postgres)} && cd heimdex-node && DATABASE_URL=$$url npm test
	url=$${DATABASE_URL:-$$(dev/postgres)} && venv=$$(dev/python) && cd heimdex-py && \
	PATH="$$venv/bin:$$PATH" HEIMDEX_NODE_BUILT=1 DATABASE_URL=$$url python -m pytest -q tests

bench:
	dev/setup bench
	cargo build --release -p heimdex-benches
	benches/shots.py
	benches/texts.sh $${CARGO_TARGET_DIR:-target}/texts.txt
	$${CARGO_TARGET_DIR:-target}/release/store_search --text $${CARGO_TARGET_DIR:-target}/texts.txt
	dev/node release
	$$(dev/python release)/bin/python benches/bindings.py $${CARGO_TARGET_DIR:-target}/release/search_speed
