# RocketMQ 5.5.0 from its Maven artifacts: a name server and one broker.
# shellcheck shell=bash disable=SC2034,SC2154 # variables of the scripts that source it

# maven FOLDER ARGUMENT…: quiet unless it fails; one more try for a network that stumbles.
maven() {
	local folder=$1 log=$run/log/maven.log
	shift
	mkdir -p "$folder" "$run/log"
	(cd "$folder" && { mvn -q -B "$@" || mvn -q -B "$@"; }) >"$log" 2>&1 9>&- || {
		tail -n 20 "$log" >&2
		die maven "could not fetch: $*"
	}
}

fetch_rocketmq() {
	local pom=$root/deploy/rocketmq/pom.xml lib=$run/rocketmq/lib
	cmp -s "$pom" "$run/rocketmq/pom.xml" && return
	say rocketmq "fetching RocketMQ"
	rm -rf "$lib" "$lib.new" && mkdir -p "$lib.new"
	maven "$root/deploy/rocketmq" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$lib.new"
	mv "$lib.new" "$lib"
	cp "$pom" "$run/rocketmq/pom.xml"
}

# java_17 prefers the version RocketMQ was tried with over a newer default. From 24 on Java has no
# SecurityManager, which keeps other machines from the broker (broker.policy): that is as good as none.
java_17() {
	local java
	for java in /usr/lib/jvm/java-17-openjdk-*/bin/java /usr/lib/jvm/java-21-openjdk-*/bin/java "$(command -v java)"; do
		if [[ -x $java ]] && (($("$java" -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java\.specification\.version = //p') < 24)); then
			echo "$java"
			return
		fi
	done
	return 1
}

# rpc PORT HEADER BODY: one request of RocketMQ's own protocol; prints the answer's header and body.
rpc() {
	local fd n=${#2} length
	exec {fd}<>"/dev/tcp/127.0.0.1/$1" || return 1
	{
		be32 $((4 + n + ${#3}))
		be32 "$n"
		printf '%s%s' "$2" "$3"
	} >&"$fd"
	length=$(timeout 5 head -c 4 <&"$fd" | od -An -tu1 | awk 'NF == 4 {print (($1*256+$2)*256+$3)*256+$4}')
	if [[ -n $length ]]; then timeout 5 head -c "$length" <&"$fd" | tail -c +5 | tr -d '\0'; fi
	exec {fd}>&-
}

# be32 NUMBER: as four bytes, the highest first.
be32() { printf '%b' "$(printf '\\x%02x' $(($1 >> 24 & 255)) $(($1 >> 16 & 255)) $(($1 >> 8 & 255)) $(($1 & 255)))"; }

# call PORT CODE [FIELDS [BODY]]: succeeds when the answer's code is 0.
call() {
	[[ $(rpc "$1" "{\"code\":$2,\"language\":\"JAVA\",\"version\":0,\"opaque\":1,\"flag\":0,\"extFields\":{${3:-}}}" "${4:-}") == *'"code":0,'* ]]
}

# topic NAMESRV BROKER NAME QUEUES: makes it when missing, and waits until clients can find it.
topic() {
	if ! call "$2" 351 "\"topic\":\"$3\""; then
		call "$2" 17 "\"topic\":\"$3\",\"defaultTopic\":\"TBW102\",\"readQueueNums\":\"$4\",\"writeQueueNums\":\"$4\",\"perm\":\"6\",\"topicFilterType\":\"SINGLE_TAG\",\"topicSysFlag\":\"0\",\"order\":\"false\"" ||
			fail broker "refused to make topic $3"
		say topic "$3 made, queues: $4"
	fi
	# A broker's first registration is often lost and the next comes 10 s later. Being told its own
	# permission, it registers at once.
	call "$1" 105 "\"topic\":\"$3\"" || call "$2" 25 '' 'brokerPermission=6' || true
	await broker 120 "route of topic $3" call "$1" 105 "\"topic\":\"$3\""
}

# rocketmq_java NAME OPTION…: fills `java` with a command line that keeps everything in its own folder.
rocketmq_java() {
	local home=$run/data/$1
	mkdir -p "$home"
	java=(env ROCKETMQ_HOME="$home" "$(java_17)" --add-exports java.base/sun.nio.ch=ALL-UNNAMED
		--add-opens java.base/java.nio=ALL-UNNAMED -Duser.home="$home" -Drmq.logback.configurationFile="rmq.$1.logback.xml"
		# Two cores: no parallel or concurrent collector that takes one of them.
		-XX:+UseSerialGC -XX:-UsePerfData "${@:2}" -cp "$run/rocketmq/lib/*")
}

# configure NAME: its configuration with the @…@ of deploy/rocketmq filled in.
configure() {
	sed -e "s|@NAMESRV_PORT@|$namesrv_port|" -e "s|@BROKER_PORT@|$broker_port|" -e "s|@FLUSH@|$flush|" \
		-e "s|@BROKER_IP@|${SECKILL_UP_BROKER_IP:-127.0.0.1}|" \
		-e "s|@DATA@|$run/data/broker|" "$root/deploy/rocketmq/$1.conf" >"$run/$1.conf"
}

# small_disk: for tests that fill it, the broker's data is on a disk in memory of SECKILL_UP_BROKER_DISK.
# Who may not mount one has the disk there is.
small_disk() {
	local data=$run/data/broker
	[[ -n ${SECKILL_UP_BROKER_DISK:-} ]] && ! alive broker || return 0
	mkdir -p "$data"
	mountpoint -q "$data" || ((EUID)) || mount -t tmpfs -o "size=$SECKILL_UP_BROKER_DISK,mode=700" seckill-broker "$data" 2>/dev/null ||
		say broker "no disk of its own: mount is not allowed"
}

up_rocketmq() {
	local java flush=$1 namesrv_port=$2 broker_port=$3 full
	fetch_rocketmq
	configure namesrv
	rocketmq_java namesrv -Xms128m -Xmx128m
	start namesrv "$namesrv_port" "$run/namesrv.conf" "${java[@]}" org.apache.rocketmq.namesrv.NamesrvStartup -c "$run/namesrv.conf"
	await namesrv 120 "answer on port $namesrv_port" call "$namesrv_port" 106
	say namesrv "$became on 127.0.0.1:$namesrv_port"

	full=$(df --output=pcent "$run" | tr -dc 0-9)
	((full < 90)) || say broker "the disk of $run is $full % full: RocketMQ refuses to write above 90 %. Make .run a link to a folder on another disk"
	small_disk
	configure broker
	rocketmq_java broker -Djava.security.manager "-Djava.security.policy==$root/deploy/rocketmq/broker.policy" -Xms512m -Xmx512m -Xmn256m -XX:MaxDirectMemorySize=512m
	start broker "$broker_port" "$run/broker.conf" "${java[@]}" org.apache.rocketmq.broker.BrokerStartup -n "127.0.0.1:$namesrv_port" -c "$run/broker.conf"
	await broker 180 "answer on port $broker_port" call "$broker_port" 28
	say broker "$became on 127.0.0.1:$broker_port, $flush"
	topic "$namesrv_port" "$broker_port" SECKILL_ORDER 8
	topic "$namesrv_port" "$broker_port" SECKILL_PROBE 1
	topic "$namesrv_port" "$broker_port" SECKILL_ORDER_EVENT 8
}
