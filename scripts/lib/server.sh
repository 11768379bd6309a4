# Server processes: each is known by its name, has NAME.pid, NAME.want and log/NAME.log under .run,
# and keeps its data in .run/data/NAME.
# shellcheck shell=bash disable=SC2034,SC2154 # variables of the scripts that source it

# alive NAME: the process recorded is there and is that server, not a later one of the same number.
alive() {
	local pid
	pid=$(cat "$run/$1.pid" 2>/dev/null) && [[ $pid =~ ^[0-9]+$ ]] || return 1
	# A zombie's command line is empty.
	tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "$run/data/$1"
}

# answers PORT: something listens there.
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# taken PORT: something listens there, or may again: another checkout's server that is down just now.
claims=${TMPDIR:-/tmp}/seckill-ports.$UID
taken() {
	local owner
	answers "$1" && return
	owner=$(cat "$claims/$1" 2>/dev/null) && [[ $owner != "$run" && -d $owner/ports ]]
}

# port NAME DEFAULT [OFFSET…]: the setting, or the port used before, or the first free one from DEFAULT
# on, in steps of 100, so that a second checkout beside the first has its own. Offsets must be free too.
port() {
	local var=SECKILL_UP_${1^^}_PORT file=$run/ports/$1 p=$2 o
	mkdir -p "$run/ports"
	if [[ -n ${!var:-} ]]; then
		[[ ${!var} =~ ^[0-9]+$ ]] || die "$1" "$var is not a port: ${!var}"
		echo "${!var}" >"$file"
	elif [[ ! -s $file ]]; then
		mkdir -p "$claims"
		exec 8>"$claims/lock" # two that start at once do not choose the same
		flock 8
		while ((p < 65000)); do
			for o in 0 "${@:3}"; do
				if taken $((p + o)); then
					p=$((p + 100))
					continue 2
				fi
			done
			break
		done
		echo "$p" >"$file"
		echo "$run" >"$claims/$p"
		exec 8>&-
	fi
	cat "$file"
}

# start NAME PORT CONFIG COMMAND…: starts it unless it runs with this very command and configuration.
# `became` is left saying what it found or did.
start() {
	local name=$1 port=$2 config=$3 want log=$run/log/$1.log
	shift 3
	want=$(printf '%s\n' "$@" "$(cat "$config" 2>/dev/null)")
	became=running
	if alive "$name"; then
		[[ $want == "$(cat "$run/$name.want" 2>/dev/null)" ]] && return
		say "$name" "has other settings now: starting it anew"
		stop "$name"
	fi
	answers "$port" && die "$name" "port $port is taken by a program that is not ours; set SECKILL_UP_${name^^}_PORT"
	mkdir -p "$run/log"
	[[ ! -e $log ]] || mv "$log" "$log.1"
	printf '%s\n' "$want" >"$run/$name.want"
	setsid nohup "$@" </dev/null >"$log" 2>&1 9>&- &
	echo $! >"$run/$name.pid"
	became=started
}

# await NAME SECONDS WHAT COMMAND…: until the command succeeds; says why when it never does.
await() {
	local name=$1 deadline=$((SECONDS + $2)) what=$3
	shift 3
	until "$@" >/dev/null 2>&1; do
		# Not alive: a process that has only just been forked still has our own command line.
		kill -0 "$(cat "$run/$name.pid")" 2>/dev/null || fail "$name" "ended while starting"
		((SECONDS < deadline)) || fail "$name" "$what: not within the time given"
		sleep 0.1
	done
}

fail() {
	printf '%s--- the end of %s ---\n' "$red" "$run/log/$1.log" >&2
	tail -n 30 "$run/log/$1.log" >&2
	printf '%s---%s\n' "$red" "$reset" >&2
	die "$1" "$2"
}

# stop NAME: ends it in order, or after 40 s at once: a broker takes 13 s.
stop() {
	local name=$1 pid i
	if ! alive "$name"; then
		rm -f "$run/$name.pid"
		return
	fi
	pid=$(cat "$run/$name.pid")
	kill -TERM "$pid"
	for ((i = 0; i < 400; i++)); do
		alive "$name" || break
		sleep 0.1
	done
	if alive "$name"; then
		say "$name" "does not end: killed"
		kill -KILL "$pid"
		while alive "$name"; do sleep 0.1; done
	fi
	rm -f "$run/$name.pid"
}
