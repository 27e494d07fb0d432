# shellcheck shell=bash disable=SC2154 # state, run, here, all: from common.sh
# FerretDB 1 over SQLite files, which are kept until the next up. It is built from source, in a module of its own.

mongo_install() {
	local sum source=$here/ferretrun program=$state/ferretrun/ferretrun
	sum=$(cat "$source"/{main.go,go.mod,go.sum} | sha256sum)
	if [ -x "$program" ] && [ "$(cat "$program.sum" 2>/dev/null)" = "$sum" ]; then return; fi
	command -v go >/dev/null || die "mongo: no go here: install Go, or set MONGODB_URI to the address of a running server"
	say "building FerretDB: one to three minutes, once"
	mkdir -p "$state/ferretrun"
	# Without -trimpath, which would compile the standard library once more.
	(cd "$source" && GOWORK=off go build -mod=readonly -buildvcs=false -tags ferretdb_no_postgresql -ldflags='-s -w' -o "$program" .) \
		>"$run/log/mongo" 2>&1 || failed mongo "cannot be built"
	echo "$sum" >"$program.sum"
}

mongo_serve() { launch mongo "$state/ferretrun/ferretrun" -listen "127.0.0.1:$(port_of mongo)" -data "$run/mongo/data"; }
mongo_answers() { "$state/ferretrun/ferretrun" -ping "127.0.0.1:$(port_of mongo)" 2>/dev/null; }

# One connection: FerretDB 1 loses concurrent updates otherwise.
mongo_variables() {
	echo "MONGODB_URI=mongodb://127.0.0.1:$(port_of mongo)/?maxPoolSize=1"
	echo MONGODB_FLAVOUR=ferretdb1
	echo "MONGODB_COMMAND=exec '$state/ferretrun/ferretrun' -listen 127.0.0.1:\$PORT -data \"\$DIR\"" # for one of a test's own
}
