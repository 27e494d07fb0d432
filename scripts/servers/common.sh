# shellcheck shell=bash
# Names, places, processes. A service, like redis-cluster, is one or more servers, like redis-cluster-1, each a process.
#
# What is special to a service stands in redis.sh, mongo.sh, dynamo.sh and postgres.sh, as functions that begin with its
# name (redis_cluster_…):
#	_install      fetches or builds what it needs, unless that is there
#	_prepare      fills the empty folder $run/SERVICE (optional)
#	_serve S      launches server S
#	_answers S    whether S answers
#	_settle       what is to be done, or waited for, when all of them answer (optional)
#	_variables    prints NAME=VALUE lines; the first is the variable that names a server elsewhere

all="redis redis-tls redis-cluster redis-sentinel mongo dynamo postgres"
state=${LARDER_SERVICES_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/larder-services}
run=$state/run
first_port=${LARDER_SERVICES_PORT:-17400}

servers_of() {
	case $1 in
	redis-cluster) echo redis-cluster-{1,2,3} ;;
	redis-sentinel) echo redis-sentinel-{master,replica,1,2,3} ;;
	*) echo "$1" ;;
	esac
}

# The bus of the cluster has the ports 10000 above, as Redis has it; so all of them stay below the ephemeral ports.
port_of() {
	local place
	case $1 in
	redis) place=0 ;;
	redis-tls) place=1 ;;
	redis-cluster-[123]) place=$((1 + ${1##*-})) ;;
	redis-sentinel-master) place=5 ;;
	redis-sentinel-replica) place=6 ;;
	redis-sentinel-[123]) place=$((6 + ${1##*-})) ;;
	mongo) place=10 ;;
	dynamo) place=11 ;;
	postgres) place=12 ;;
	esac
	echo $((first_port + place))
}

# service_of NAME prints the service that is called so or has a server that is.
service_of() {
	local service
	for service in $all; do
		[[ " $service $(servers_of "$service") " = *" $1 "* ]] || continue
		echo "$service"
		return
	done
	die "no service or server $1; there are: $(for service in $all; do servers_of "$service"; done | tr '\n' ' ')"
}

prefix() { echo "${1//-/_}"; }
variable_of() { "$(prefix "$1")_variables" | sed -n '1s/=.*//p'; }
say() { printf 'services: %s\n' "$*" >&2; }
die() {
	say "$*"
	exit 1
}

# require_linux COMMAND
require_linux() {
	[ "$(uname)" != Linux ] || return 0
	[ "$1" != down ] || exit 0
	say "servers are started on Linux only; elsewhere use docker compose, or set REDIS_URL, MONGODB_URI and so on (docs/services.md)"
	[ "$1" = up ] && [ "${CI-}" != true ] && [ -z "$strict" ] && exit 0
	exit 1
}

lock() {
	(umask 077 && mkdir -p "$state" && mkdir -p "$run/log")
	exec 9>"$state/lock"
	flock 9
}

# password prints what the servers with users accept: made once, and as secret as the state folder.
password() {
	[ -s "$state/password" ] || (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$state/password")
	cat "$state/password"
}

# ---- variables ----

# elsewhere SERVICE: the environment names a server for it that is not the one started here.
elsewhere() {
	local variable own
	variable=$(variable_of "$1")
	own=$("$(prefix "$1")_variables" | sed -n '1s/^[^=]*=//p')
	[ -n "${!variable-}" ] && [ "${!variable}" != "$own" ]
}

passed_on() {
	local variable
	for variable in $("$(prefix "$1")_variables" | sed 's/=.*//'); do
		[ -z "${!variable-}" ] || printf '%s=%s\n' "$variable" "${!variable}"
	done
}

# exports turns NAME=VALUE lines into commands for a POSIX shell.
exports() { sed -e "s/'/'\\\\''/g" -e "s/^\([^=]*\)=\(.*\)/export \1='\2'/"; }

# ---- who holds a service ----

hold() {
	local who=${holder:-everybody}
	mkdir -p "$run/held/$1"
	start_time "$who" >"$run/held/$1/$who" || true
}

# release SERVICE: whether nobody holds it any more.
release() {
	local file who
	rm -f "$run/held/$1/$holder"
	for file in "$run/held/$1"/*; do
		who=${file##*/}
		[ ! -e "$file" ] || { [ "$who" != everybody ] && [ "$(start_time "$who")" != "$(cat "$file")" ]; } || return 1
	done
}

# ---- processes ----

# A process is recorded as "PID START", START being its start time in clock ticks since boot, so that a recycled pid is
# never taken for ours.
start_time() {
	local stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
	read -ra stat <<<"${stat##*) }" # from field 3 on; field 2, the name, may hold spaces
	# A zombie has ended only when no other thread of it (num_threads) lives: until then its sockets are open.
	if [ "${stat[0]}" = Z ] && ((stat[17] <= 1)); then return 1; fi
	echo "${stat[19]}"
}

# pid_of SERVER prints its pid if it runs.
pid_of() {
	local pid started
	read -r pid started 2>/dev/null <"$run/$1.pid" || return 1
	[ "$(start_time "$pid")" = "$started" ] && echo "$pid"
}

# launch SERVER COMMAND... starts it detached, and records it. setsid execs, so $! is the server itself.
launch() {
	local server=$1 pid started
	shift
	setsid "$@" >"$run/log/$server" 2>&1 </dev/null 9>&- &
	pid=$!
	started=$(start_time "$pid") || failed "$server" "did not start"
	echo "$pid $started" >"$run/$server.pid"
}

# failed SERVER WHAT ends the shell with the reason in one sentence: the last line of the log, where there is one.
failed() {
	local last
	last=$(tail -n 1 "$run/log/$1" 2>/dev/null) || true
	die "$1 $2${last:+: $last} (its log is $run/log/$1)"
}

# begin SERVER starts it, unless it runs, and waits until it answers.
begin() {
	local server=$1 service i deadline=$((SECONDS + 30))
	service=$(service_of "$server")
	if ! pid_of "$server" >/dev/null; then
		for ((i = 0; i < 20; i++)); do # who has just ended may hold the port for a moment
			taken "$server" || break
			sleep 0.05
		done
		! taken "$server" || die "$server: port $(port_of "$server") is taken by another program; set LARDER_SERVICES_PORT to the first of 13 free ports, or $(variable_of "$service") to the address of a running server"
		"$(prefix "$service")_serve" "$server"
	fi
	until "$(prefix "$service")_answers" "$server"; do
		pid_of "$server" >/dev/null || failed "$server" "ended"
		((SECONDS < deadline)) || failed "$server" "does not answer"
		sleep 0.05
	done
	pid_of "$server" >/dev/null || failed "$server" "ended, though something answers on its port"
}

taken() { (exec 8<>"/dev/tcp/127.0.0.1/$(port_of "$1")") 2>/dev/null; }

# end NAME... ends servers, or those of services: a signal to each, and KILL five seconds later.
end() {
	local name server pid running='' deadline=$((SECONDS + 5))
	for name in "$@"; do
		for server in $(servers_of "$name"); do
			pid=$(pid_of "$server") || continue
			running+=" $server"
			kill "-$(ending "$server")" "$pid" 2>/dev/null || true
		done
	done
	for server in $running; do
		while pid_of "$server" >/dev/null && ((SECONDS < deadline)); do sleep 0.05; done
		if pid=$(pid_of "$server"); then kill -KILL "$pid" 2>/dev/null || true; fi
		rm -f "$run/$server.pid"
	done
	[ -z "$running" ] || say "stopped:$running"
}

# PostgreSQL takes TERM for "when the last client has gone".
ending() { if [ "$1" = postgres ]; then echo INT; else echo TERM; fi; }

# ---- services ----

# bring_up SERVICE leaves it alone if all of it runs; what runs in part or was interrupted is started anew, without data.
bring_up() {
	local service=$1 server
	if [ -e "$run/$service/up" ] && complete "$service"; then return; fi
	end "$service"
	discard "$service"
	(umask 077 && mkdir "$run/$service")
	if has "$service" prepare; then "$(prefix "$service")_prepare"; fi
	for server in $(servers_of "$service"); do begin "$server"; done
	settle "$service"
	touch "$run/$service/up"
	say "started: $service"
}

settle() { if has "$1" settle; then "$(prefix "$1")_settle"; fi; }

has() { declare -F "$(prefix "$1")_$2" >/dev/null; }

complete() {
	local server
	for server in $(servers_of "$1"); do
		pid_of "$server" >/dev/null || return 1
		"$(prefix "$1")_answers" "$server" || return 1
	done
}

# discard SERVICE removes its data, also where that is elsewhere (see postgres.sh).
discard() {
	if [ -L "$run/$1/data" ]; then rm -rf "$(readlink "$run/$1/data")"; fi
	rm -rf "${run:?}/$1"
}

stop() {
	service_of "$1" >/dev/null
	end "$1"
}

start() {
	local service server
	service=$(service_of "$1")
	[ -e "$run/$service/up" ] || die "$service was not started: scripts/services up does that"
	for server in $(servers_of "$1"); do begin "$server"; done
	if complete "$service"; then settle "$service"; fi
}

status() {
	local service server pid
	for service in $all; do
		for server in $(servers_of "$service"); do
			if pid=$(pid_of "$server"); then
				printf '%-24s port %s  pid %s\n' "$server" "$(port_of "$server")" "$pid"
			else
				printf '%-24s stopped\n' "$server"
			fi
		done
	done
}
