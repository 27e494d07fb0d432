# shellcheck shell=bash disable=SC2154 # state, run, here, all: from common.sh
# Redis alone; with TLS and users; three masters as a cluster; a master with a replica and three sentinels.
# None keeps data on disk: what is started again is empty, but knows its cluster.

redis_install() { need "${1:-redis}" redis-server redis-server; }
redis_serve() { redis_launch "$1"; }
redis_answers() { [ "$(redis_cli "$1" ping)" = PONG ]; }
redis_variables() { echo "REDIS_URL=redis://127.0.0.1:$(port_of redis)/0"; }

# redis_launch SERVER OPTION... gives each server a folder of its own.
redis_launch() {
	local server=$1 dir
	dir=$run/$(service_of "$server")/$server
	shift
	mkdir -p "$dir"
	launch "$server" redis-server --bind 127.0.0.1 --port "$(port_of "$server")" --dir "$dir" --save '' --appendonly no "$@"
}

# redis_cli SERVER COMMAND...
redis_cli() {
	local port
	port=$(port_of "$1")
	shift
	timeout 5 redis-cli -h 127.0.0.1 -p "$port" "$@" 2>/dev/null | tr -d '\r'
}

# ---- TLS and users ----

redis_tls_install() {
	redis_install redis-tls
	need redis-tls openssl openssl
}

# The user app may do what a cache needs, with the keys of the namespace "larder" alone.
redis_tls_prepare() {
	local dir=$run/redis-tls
	printf '%s\n' 'user default off' "user app on >$(password) ~larder:* &* +@all -@dangerous" >"$dir/users"
	(cd "$dir" && redis_tls_certificates) >"$run/log/redis-tls" 2>&1 || failed redis-tls "has no certificates"
}

# In the current folder: an authority that nobody else trusts (ca.crt), and a certificate by it for this host.
redis_tls_certificates() {
	local key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
	openssl req -x509 "${key[@]}" -keyout ca.key -out ca.crt -days 3650 -subj "/CN=larder tests" &&
		openssl req "${key[@]}" -keyout server.key -out server.csr -subj /CN=localhost &&
		openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out server.crt -days 3650 \
			-extfile <(echo subjectAltName=IP:127.0.0.1,DNS:localhost)
}

redis_tls_serve() {
	local dir=$run/redis-tls
	redis_launch redis-tls --port 0 --tls-port "$(port_of redis-tls)" --tls-auth-clients no --aclfile "$dir/users" \
		--tls-ca-cert-file "$dir/ca.crt" --tls-cert-file "$dir/server.crt" --tls-key-file "$dir/server.key"
}

redis_tls_answers() {
	[ "$(REDISCLI_AUTH=$(password) redis_cli "$1" --tls --cacert "$run/redis-tls/ca.crt" --user app ping)" = PONG ]
}

redis_tls_variables() {
	echo "REDIS_TLS_URL=rediss://app:$(password)@127.0.0.1:$(port_of redis-tls)/0"
	echo "REDIS_TLS_CA=$run/redis-tls/ca.crt"
}

# ---- cluster ----

redis_cluster_install() { redis_install redis-cluster; }
redis_cluster_serve() { redis_launch "$1" --cluster-enabled yes --cluster-node-timeout 2000; }
redis_cluster_answers() { redis_answers "$1"; }

redis_cluster_settle() {
	local server addresses
	if redis_cli redis-cluster-1 cluster info | grep -q ^cluster_known_nodes:1$; then
		mapfile -t addresses < <(redis_addresses redis-cluster-{1,2,3})
		redis-cli --cluster create "${addresses[@]}" --cluster-yes >"$run/log/redis-cluster" 2>&1 ||
			failed redis-cluster "cannot be made"
	fi
	for server in redis-cluster-{1,2,3}; do
		redis_until "$server" cluster_state:ok cluster info || failed redis-cluster "does not come together"
	done
}

redis_cluster_variables() { echo "REDIS_CLUSTER=$(redis_addresses redis-cluster-{1,2,3} | paste -sd,)"; }

redis_addresses() {
	local server
	for server in "$@"; do echo "127.0.0.1:$(port_of "$server")"; done
}

# redis_until SERVER PATTERN COMMAND... waits until a line of the answer to a command has a pattern.
redis_until() {
	local server=$1 pattern=$2 deadline=$((SECONDS + 30))
	shift 2
	until redis_cli "$server" "$@" | grep -qx "$pattern"; do
		((SECONDS < deadline)) || return 1
		sleep 0.05
	done
}

# ---- sentinel ----

redis_sentinel_install() { redis_install redis-sentinel; }

# A sentinel looks at once, and then every ten seconds, which replicas there are: so at first they start when there is one.
redis_sentinel_serve() {
	local at_once=(--repl-diskless-sync-delay 0)
	case $1 in
	redis-sentinel-master) redis_launch "$1" "${at_once[@]}" ;;
	redis-sentinel-replica)
		redis_launch "$1" "${at_once[@]}" --replicaof 127.0.0.1 "$(port_of redis-sentinel-master)"
		[ -e "$run/redis-sentinel/up" ] || redis_until "$1" master_link_status:up info replication ||
			failed "$1" "does not reach its master"
		;;
	*) launch "$1" redis-server "$run/redis-sentinel/$1.conf" --sentinel ;;
	esac
}

redis_sentinel_answers() { redis_answers "$1"; }

redis_sentinel_prepare() {
	local server
	for server in redis-sentinel-{1,2,3}; do # a sentinel writes into its file
		cat >"$run/redis-sentinel/$server.conf" <<-END
			bind 127.0.0.1
			port $(port_of "$server")
			sentinel monitor mymaster 127.0.0.1 $(port_of redis-sentinel-master) 2
			sentinel down-after-milliseconds mymaster 1000
			sentinel failover-timeout mymaster 3000
		END
	done
}

redis_sentinel_settle() {
	local server
	for server in redis-sentinel-{1,2,3}; do
		redis_until "$server" 'master0:.*,status=ok,.*,slaves=1,sentinels=3' info sentinel ||
			failed "$server" "does not find the others"
	done
}

redis_sentinel_variables() {
	echo "REDIS_SENTINEL=$(redis_addresses redis-sentinel-{1,2,3} | paste -sd,)"
	echo REDIS_SENTINEL_MASTER=mymaster
}
