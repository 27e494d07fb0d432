# shellcheck shell=bash disable=SC2154 # state, run, here, all: from common.sh
# How Debian and Ubuntu get what is missing.

# need SERVICE COMMAND PACKAGE... installs packages unless the command is there.
need() {
	local service=$1 command=$2 get=(env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get -y --no-install-recommends -o DPkg::Lock::Timeout=120)
	shift 2
	local otherwise
	otherwise="install $*, or set $(variable_of "$service") to the address of a running server"
	if present "$command"; then return; fi
	command -v apt-get >/dev/null || die "$service: no $command here: $otherwise"
	if [ "$(id -u)" != 0 ]; then
		sudo -n true 2>/dev/null || die "$service: no $command here, and apt-get needs root or sudo without a password: $otherwise"
		get=(sudo -n "${get[@]}")
	fi
	if ! grep -sqx "$*" "$run/log/apt-failed"; then
		say "installing $*"
		# RUNLEVEL=1 keeps a package from starting a server of its own, but not where systemd runs.
		"${get[@]}" install "$@" >"$run/log/apt" 2>&1 ||
			{ "${get[@]}" update && "${get[@]}" install "$@"; } >"$run/log/apt" 2>&1 || echo "$*" >>"$run/log/apt-failed"
	fi
	! grep -sqx "$*" "$run/log/apt-failed" || die "$service: apt-get cannot install $* ($run/log/apt tells why): $otherwise"
	present "$command" || die "$service: $* brought no $command: $otherwise"
}

# PostgreSQL's programs are not in the PATH of Debian.
present() {
	if [ "$1" = postgres ]; then
		[ -n "$(postgres_programs)" ]
	else
		command -v "$1" >/dev/null
	fi
}
