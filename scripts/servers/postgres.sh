# shellcheck shell=bash disable=SC2154 # state, run, here, all: from common.sh
# PostgreSQL. Its data is kept until the next up.

# postgres_programs prints the folder of the newest version's, which Debian does not have in the PATH.
postgres_programs() {
	local newest
	newest=$(printf '%s\n' /usr/lib/postgresql/*/bin/postgres | sort -V | tail -n 1)
	[ -x "$newest" ] || newest=$(command -v postgres) || return 0
	dirname "$newest"
}

postgres_install() { need postgres postgres postgresql; }

# What runs a command as the user that PostgreSQL gets, in the same process.
postgres_user=(env)
[ "$(id -u)" != 0 ] || postgres_user=(setpriv --reuid postgres --regid postgres --init-groups)

# PostgreSQL refuses to run as root, and its own user may not enter every state folder: as root, the data is in /tmp.
postgres_prepare() {
	local dir=$run/postgres/data
	if [ "$(id -u)" = 0 ]; then
		ln -s "$(mktemp -d /tmp/larder-postgres.XXXXXX)" "$dir"
		dir=$(readlink "$dir")
	else
		mkdir "$dir"
	fi
	password >"$dir/password"
	[ "$(id -u)" != 0 ] || chown -R postgres: "$dir"
	"${postgres_user[@]}" "$(postgres_programs)/initdb" -D "$dir/files" -U postgres --auth scram-sha-256 \
		--pwfile "$dir/password" -E UTF8 --locale C --no-sync \
		>"$run/log/postgres" 2>&1 || failed postgres "cannot make its files"
}

postgres_serve() {
	local files
	files=$(readlink -f "$run/postgres/data")/files
	rm -f "$files/postmaster.pid" # left by one that was killed, it would hold up the next
	launch postgres "${postgres_user[@]}" "$(postgres_programs)/postgres" -D "$files" \
		-c listen_addresses=127.0.0.1 -c "port=$(port_of postgres)" -c unix_socket_directories= -c fsync=off
}

postgres_answers() { "$(postgres_programs)/pg_isready" -q -h 127.0.0.1 -p "$(port_of postgres)"; }

postgres_variables() {
	echo "POSTGRES_URL=postgres://postgres:$(password)@127.0.0.1:$(port_of postgres)/postgres?sslmode=disable"
}
