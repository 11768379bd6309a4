# Shared by the scripts beside it: where things are, what is printed, what is installed.
# shellcheck shell=bash disable=SC2034,SC2154 # variables of the scripts that source it

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
run=${SECKILL_UP_DIR:-$root/.run} # a second set of servers, for tests that kill them, has a folder of its own
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

bold='' red='' reset=''
if [[ -t 2 ]]; then bold=$'\e[1m' red=$'\e[31m' reset=$'\e[0m'; fi

# say WHO WHAT: one line of progress.
say() { printf '%s%-9s%s %s\n' "$bold" "$1" "$reset" "$2" >&2; }

# die WHO WHAT
die() {
	printf '%s%-9s %s%s\n' "$red" "$1" "$2" "$reset" >&2
	exit 1
}

# lock: one of the scripts at a time; the servers must not inherit descriptor 9.
lock() {
	mkdir -p "$run"
	exec 9>"$run/lock"
	flock -n 9 && return
	say lock "another scripts/up or scripts/down is at work, waiting for it"
	flock -w 900 9 || die lock "waited 15 minutes for $run/lock"
}

# have COMMAND…: all of them are installed.
have() {
	local c
	for c in "$@"; do command -v "$c" >/dev/null || return 1; done
}

as_root() {
	if ((EUID == 0)); then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die apt "needs root or sudo to run: $*"
	fi
}

# apt_install PACKAGE…: none of those asked for brings a service that would be started.
apt_install() {
	command -v apt-get >/dev/null || die apt "no apt-get here; install by hand what provides: $*"
	say apt "installing $*"
	local log=$run/log/apt.log
	mkdir -p "$run/log"
	# An index that cannot be refreshed may still name the packages.
	as_root apt-get -q -o DPkg::Lock::Timeout=300 update >"$log" 2>&1 || say apt "apt-get update failed, trying on"
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qy -o DPkg::Lock::Timeout=300 \
		install --no-install-recommends "$@" >>"$log" 2>&1 || {
		tail -n 20 "$log" >&2
		die apt "could not install $*"
	}
}

# unpack_deb PACKAGE: that of this Debian, unpacked to .run/PACKAGE and not installed: no service is started
# or left behind, and nobody has to be root.
unpack_deb() {
	local tmp lock log=$run/log/$1.log
	have apt-get dpkg-deb || die "$1" "no apt-get here; install $1 by hand"
	mkdir -p "$run/log"
	exec {lock}>"$run/log/$1.lock"
	flock "$lock"
	[[ ! -d $run/$1 ]] || return 0 # another call has just done it
	say "$1" "fetching Debian's package"
	tmp=$(mktemp -d)
	# An index that is there may do; as root it can be refreshed.
	(cd "$tmp" && apt-get -q download "$1") >"$log" 2>&1 || {
		as_root apt-get -q -o DPkg::Lock::Timeout=300 update >>"$log" 2>&1 || true
		(cd "$tmp" && apt-get -q download "$1") >>"$log" 2>&1 || die "$1" "could not fetch it; see $log"
	}
	dpkg-deb --extract "$tmp/$1"_*.deb "$tmp/x"
	mv "$tmp/x" "$run/$1"
	rm -rf "$tmp"
	exec {lock}>&-
}

# first_of PACKAGE…: the first that this release of Debian has.
first_of() {
	local p
	for p in "$@"; do
		if [[ -n $(apt-cache madison "$p" 2>/dev/null) ]]; then
			echo "$p"
			return
		fi
	done
	echo "$1"
}

# secret NAME: 32 random bytes in hex, made once and kept.
secret() {
	local file=$run/secrets/$1
	if [[ ! -s $file ]]; then
		mkdir -p "$run/secrets"
		od -An -vtx1 -N32 /dev/urandom | tr -d ' \n' >"$file.new"
		mv "$file.new" "$file"
	fi
	cat "$file"
}

# go_tool NAME PACKAGE MODULE@VERSION: builds that version of a Go program to .run/bin, once.
go_tool() {
	local bin=$run/bin/$1 version=${3#*@}
	have go || die go "Go is missing: https://go.dev/doc/install"
	if go version -m "$bin" 2>/dev/null | grep -qF "mod	${3%@*}	$version	"; then return; fi
	say "$1" "building $version, once: a minute or two"
	mkdir -p "$run/bin"
	GOBIN=$run/bin GOFLAGS='' go install "$2@$version"
}
