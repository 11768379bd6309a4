# What scripts/load does, step by step.
# shellcheck shell=bash disable=SC2034,SC2154 # variables of the script that sources it

# defaults: what was not said. Whoever is never to be sold out has a unit each.
defaults() {
	case $name in
	smoke) shoppers=${shoppers:-100} stock=${stock:-50} ;;
	spike) shoppers=${shoppers:-10000} stock=${stock:-1000} ;;
	double-click) shoppers=${shoppers:-500} stock=${stock:-400} ;;
	poll-storm) shoppers=${shoppers:-500} stock=${stock:-$shoppers} seconds=${seconds:-30} rate=${rate:-1000} ;;
	soak) seconds=${seconds:-600} && shoppers=${shoppers:-$((50 * seconds))} && stock=${stock:-$((shoppers * 2 / 3))} ;;
	overload)
		[[ -z ${SECKILL_LOAD_URLS:-} ]] || die load "overload caps the drain of consumers of its own"
		drain=${drain:-100} seconds=${seconds:-60}
		shoppers=${shoppers:-$((10 * drain * seconds + 110))}
		stock=${stock:-$shoppers}
		;;
	esac
	seconds=${seconds:-0}
}

# settings: those of the servers, from the environment or of scripts/up.
settings() {
	local url urls=${SECKILL_LOAD_URLS:-}
	for url in ${urls//,/ }; do
		[[ $url =~ ^https?://(127\.[0-9.]+|localhost|\[::1\])(:[0-9]+)?/?$ || ${SECKILL_LOAD_ALLOW_REMOTE:-} == 1 ]] ||
			die load "$url is not on this machine; if it is yours, set SECKILL_LOAD_ALLOW_REMOTE=1"
	done
	if [[ -z ${SECKILL_MYSQL_DSN:-} || -z ${SECKILL_REDIS_ADDRS:-} || -z ${SECKILL_ROCKETMQ_NAMESERVERS:-} ]]; then
		[[ -z ${SECKILL_LOAD_URLS:-} ]] || die load "SECKILL_LOAD_URLS needs the SECKILL_* settings of that system too"
		[[ -e $run/env ]] || "$root/scripts/up"
		# shellcheck source=/dev/null
		source "$run/env"
	fi
}

# start_system: APIs and consumers with a database, topics and a group of their own; sets urls.
start_system() {
	local i addr
	[[ $SECKILL_MYSQL_DSN =~ ^([^:@/]+):(.*)@tcp\(([^:()]+):([0-9]+)\)/([^?]*)(.*)$ ]] ||
		die load "SECKILL_MYSQL_DSN is not user:password@tcp(host:port)/database"
	mysql=("${BASH_REMATCH[@]:1:4}")
	sql "CREATE DATABASE $own CHARACTER SET utf8mb4" || die load "could not make a database; are the servers up? scripts/up starts them"
	export SECKILL_MYSQL_DSN="${mysql[0]}:${mysql[1]}@tcp(${mysql[2]}:${mysql[3]})/$own${BASH_REMATCH[6]}"
	export SECKILL_ROCKETMQ_TOPIC=$own SECKILL_ROCKETMQ_PROBE_TOPIC=${own}_probe SECKILL_ROCKETMQ_GROUP=$own
	export SECKILL_JWT_SECRETS=${SECKILL_JWT_SECRETS:-$(secret jwt)} SECKILL_ID_KEYS=${SECKILL_ID_KEYS:-$(secret id)}
	export SECKILL_MESSAGE_KEYS=${SECKILL_MESSAGE_KEYS:-$(secret message)}
	export SECKILL_LOG_FORMAT=text
	if [[ -n $drain ]]; then # two seconds' worth may wait
		export SECKILL_DRAIN_RATE SECKILL_BACKLOG_LIMIT=$((2 * drain))
		SECKILL_DRAIN_RATE=$(awk "BEGIN { print $drain / $consumers }")
	fi
	"$dir/seckill" migrate up 2>"$dir/migrate.log" || die load "migrate up: $(tail -n 1 "$dir/migrate.log")"
	ulimit -n "$(ulimit -Hn)" # a connection per shopper
	for ((i = 1; i <= consumers; i++)); do role "consumer-$i" consumer; done
	for ((i = 1; i <= apis; i++)); do
		role "api-$i" api --listen 127.0.0.1:0
		addr=$(logged "api-$i" 'msg="api up"')
		urls+=${urls:+,}http://$addr
	done
}

# role NAME COMMAND…: starts a process and waits until it is ready.
role() {
	local name=$1 i addr
	"$dir/seckill" "${@:2}" --admin-listen 127.0.0.1:0 >"$dir/$name.log" 2>&1 &
	pids+=($!)
	for ((i = 0; i < 300; i++)); do
		kill -0 "${pids[-1]}" 2>/dev/null || break
		addr=$(logged "$name" 'msg="admin listener up"')
		if [[ -n $addr ]] && "$dir/seckill" healthcheck --admin-listen "$addr" >/dev/null 2>&1; then
			admins+=("$name=$addr")
			return
		fi
		sleep 0.1
	done
	tail -n 20 "$dir/$name.log" >&2
	die load "$name is not ready"
}

# logged NAME TEXT: the address that a line of the log with this text names.
logged() { sed -n "s/.*$2 addr=\([^ ]*\).*/\1/p" "$dir/$1.log" | head -n 1; }

sql() {
	MYSQL_PWD=${mysql[1]} mariadb --no-defaults --protocol=tcp --user="${mysql[0]}" --host="${mysql[2]}" --port="${mysql[3]}" --execute="$1"
}

# make_sale prints its ID. A spike's opens in a few seconds: k6 has to start first, on a busy machine later.
make_sale() {
	local now lead=-1 id
	if [[ $name == spike ]]; then lead=$(awk "BEGIN { print int((8 + $shoppers / 1500) * ($slack > 1 ? $slack : 1)) }"); fi
	now=$(date +%s)
	id=$("$dir/seckill" sale create -f - --allow-unusual --json <<-EOF | sed -n 's/^{"id":"\([0-9]*\)".*/\1/p'
		{"title": "load test $name", "price_minor": 9900, "currency": "CNY", "stock": $stock,
		 "pay_within": "24h", "starts_at": "$(date -ud "@$((now + lead))" +%FT%TZ)", "ends_at": "$(date -ud "@$((now + 3600 + seconds))" +%FT%TZ)"}
	EOF
	)
	[[ -n $id ]] || die load "could not make a sale"
	"$dir/seckill" sale open "$id" >/dev/null || die load "could not open sale $id"
	echo "$id"
}

# send_shoppers [K6_OPTION…]
send_shoppers() {
	local code=0
	env BASE_URLS="$urls" SALE_ID="$sale" TOKENS="$dir/tokens" SHOPPERS="$shoppers" STOCK="$stock" \
		DURATION="$seconds" RATE="$rate" DRAIN="$drain" SLACK="$slack" SUMMARY="$dir/summary.json" ALLOW_REMOTE="${SECKILL_LOAD_ALLOW_REMOTE:-}" \
		K6_NO_USAGE_REPORT=true K6_WEB_DASHBOARD=true K6_WEB_DASHBOARD_PORT=-1 \
		K6_WEB_DASHBOARD_PERIOD=$((1 + seconds / 300))s K6_WEB_DASHBOARD_EXPORT="$dir/report.html" \
		"$here/k6" run --quiet --address "" "$@" "loadtest/$name.js" >"$dir/k6.log" 2>&1 &
	pids+=($!) # in the background, so that a signal ends us at once
	wait "$!" || code=$?
	cat "$dir/k6.log"
	return "$code"
}

# start_watch measures our processes, a line a second, until stop_watch.
start_watch() {
	((${#admins[@]})) || return 0
	"$dir/verdict" watch "$dir/samples.json" "${admins[@]}" &
	watcher=$!
	pids+=("$watcher")
}

# stop_watch, a little after everybody has gone; sets what the verdict is told of it.
stop_watch() {
	[[ -n $watcher ]] || return 0
	sleep 3
	kill "$watcher"
	wait "$watcher" || die load "nothing was measured"
	case $name in poll-storm | overload | soak) watched=(-samples "$dir/samples.json") ;; esac
}

# settled: waits up to a minute until the audit is clean and nothing is pending; keeps the last one.
settled() {
	local deadline=$((SECONDS + 60))
	until "$dir/seckill" audit "$sale" --json >"$dir/audit.json" && [[ $(<"$dir/audit.json") == *'"pending":0'* ]]; do
		((SECONDS < deadline)) || return 1
		sleep 0.5
	done
}

# clean_up ends our processes, by their IDs, and removes what was made for them.
clean_up() {
	local code=$? pid ended=0
	trap '' INT TERM
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
	for pid in "${pids[@]}"; do wait "$pid" || ended=$?; done
	if ((code == 0 && ended != 0)); then
		say load "a process did not end in order: exit $ended; see $dir"
		code=1
	fi
	rm -f "$dir/tokens" "$dir/seckill" "$dir/verdict"
	if [[ -n ${mysql[*]:-} && $keep == no ]]; then drop_own >>"$dir/clean.log" 2>&1 || true; fi
	exit "$code"
}

# drop_own removes the database; and, from servers that scripts/up started, what the sale left in Redis, and
# topics and group from the broker (215, 207) and the name server (216).
drop_own() {
	local topic broker=${SECKILL_ROCKETMQ_NAMESERVERS%%,*}
	sql "DROP DATABASE IF EXISTS $own"
	[[ $broker == 127.0.0.1:* && -s $run/ports/broker ]] || return 0
	if [[ -n $sale ]]; then redis-cli -p "${SECKILL_REDIS_ADDRS##*:}" UNLINK "seckill:{$sale}:"{m,o,d,u}; fi
	for topic in "$own" "${own}_probe" "%RETRY%$own"; do
		call "$(<"$run/ports/broker")" 215 "\"topic\":\"$topic\""
		call "${broker##*:}" 216 "\"topic\":\"$topic\""
	done
	call "$(<"$run/ports/broker")" 207 "\"groupName\":\"$own\""
}
