package checkup

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/go-sql-driver/mysql"

	"seckill/admin"
	ordermysql "seckill/order/mysql"
	"seckill/queue/rocketmq"
	"seckill/stock"
)

// down is the finding of a server that does not answer.
func down(server string, err error, advice string) Finding {
	f := failure(server, advice, "%s", err)
	f.Down = true
	return f
}

// Unread is the finding of something that could not be read and therefore was not
// checked. An *admin.UnavailableError names the server.
func Unread(name string, err error) Finding {
	advice := "this is a bug or the stored data is corrupt: report it with this line"
	if away, ok := errors.AsType[*admin.UnavailableError](err); ok {
		switch away.Server {
		case "mysql":
			advice = explainMySQL(away.Err)
		case "redis":
			advice = explainRedis(away.Err)
		}
	}
	return failure(name, advice, "cannot be read and was not checked: %s", err)
}

// network returns what to do about a server that cannot be reached; empty for
// other errors. setting is the name of its address.
func network(err error, setting string) string {
	var unknown x509.UnknownAuthorityError
	var wrongHost x509.HostnameError
	var name *net.DNSError
	var netErr net.Error
	var noTLS tls.RecordHeaderError
	switch {
	case strings.Contains(err.Error(), "remote error: tls:"):
		return "the server and this program agree on no TLS: the server must speak TLS 1.2 or later; or it requires a client's certificate"
	case errors.As(err, &noTLS):
		return "the server has no TLS at this port: configure it there, or switch it off in the settings (…_TLS=false); the address is in " + setting
	case errors.As(err, &unknown), errors.As(err, &wrongHost):
		return "its certificate is not trusted: check its CA_FILE setting, and whether the certificate is for the name in " + setting
	case errors.As(err, &name):
		return "the host name cannot be resolved: correct " + setting + " or the DNS"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens at this address: start the server (scripts/up starts one on this machine), or correct " + setting
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return "no answer in time: the host is down, a firewall drops packets, or the server hangs; check " + setting + " and, if TLS is on in the settings, whether the server has it at this port"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the server closes the connection: all its connections may be in use (maxclients, max_connections), it may require TLS, or a proxy is in between"
	}
	return ""
}

func explainMySQL(err error) string {
	switch {
	case errors.Is(err, ordermysql.ErrSession):
		return "do what the message says for each variable; no role uses such a connection"
	case errors.Is(err, ordermysql.ErrEngine):
		return "ALTER TABLE ... ENGINE = InnoDB for each of them"
	case errors.Is(err, mysql.ErrNoTLS):
		return "the server has no TLS: configure its certificate, or set SECKILL_MYSQL_TLS=false where the network is trusted"
	case errors.Is(err, mysql.ErrUnknownPlugin), errors.Is(err, mysql.ErrOldPassword), errors.Is(err, mysql.ErrCleartextPassword), errors.Is(err, mysql.ErrNativePassword):
		return "the user's authentication plugin is not supported: create it with caching_sha2_password or mysql_native_password"
	}
	refused, answered := errors.AsType[*mysql.MySQLError](err)
	if !answered {
		if advice := network(err, "SECKILL_MYSQL_DSN"); advice != "" {
			return advice
		}
		return "check that the server is up, and SECKILL_MYSQL_DSN: user:password@tcp(host:3306)/database"
	}
	for _, e := range mysqlAdvice {
		if slices.Contains(e.numbers, refused.Number) {
			return e.advice
		}
	}
	return "see the server's message"
}

const readOnlyAdvice = "the server is a replica, or still read-only after a failover: connect to the primary, or SET GLOBAL read_only=0"

// mysqlAdvice is what to do about the errors that the server answers with.
var mysqlAdvice = []struct {
	numbers []uint16
	advice  string
}{
	{[]uint16{1045, 1698}, "the user or password is wrong: correct SECKILL_MYSQL_DSN, or create the user. If it is right, the user may be required to use TLS: set SECKILL_MYSQL_TLS=true"},
	{[]uint16{1044, 1142, 1143, 1370}, "the user lacks privileges: GRANT ALL ON its database"},
	{[]uint16{1049}, "create the database with CREATE DATABASE, then run `seckill migrate up`; or correct SECKILL_MYSQL_DSN"},
	{[]uint16{1040}, "all connections of the server are in use: raise max_connections, or lower SECKILL_MYSQL_MAX_CONNS of the processes"},
	{[]uint16{1203, 1226}, "all connections of the user are in use: raise its MAX_USER_CONNECTIONS (or max_user_connections), or lower SECKILL_MYSQL_MAX_CONNS of the processes"},
	{[]uint16{1054, 1146}, "run `seckill migrate up`"},
	{[]uint16{1129}, "the server blocks this host after failed connections: FLUSH HOSTS, then find what connects wrongly"},
	{[]uint16{1130}, "the server allows no connection from this host: create the user for it, or correct bind-address and SECKILL_MYSQL_DSN"},
	{[]uint16{1193}, "the server is not MySQL 8.0 or MariaDB 10.11, or a proxy is in between: connect to the server directly"},
	{[]uint16{1227}, "the user lacks the privilege to read this: ask the administrator of the server"},
	{[]uint16{1290, 1792, 1836}, readOnlyAdvice},
	{[]uint16{3, 28, 1021, 1026, 1030, 1114}, "the disk of the server, or its tablespace, is full: free space, or let innodb_data_file_path grow (autoextend)"},
	{[]uint16{1153}, "SET GLOBAL max_allowed_packet = 67108864"},
	{[]uint16{1665}, "SET GLOBAL binlog_format = 'ROW'"},
	{[]uint16{1820, 1862}, "the user's password has expired: ALTER USER ... IDENTIFIED BY"},
	{[]uint16{3118, 4151}, "the user is locked: ALTER USER ... ACCOUNT UNLOCK"},
	{[]uint16{3159}, "the server requires TLS: set SECKILL_MYSQL_TLS=true"},
}

// redisAdvice is what to do about the errors that Redis answers with, by a part of their
// text.
var redisAdvice = []struct{ says, advice string }{
	{"NOAUTH", "Redis requires a password: set SECKILL_REDIS_PASSWORD"},
	{"WRONGPASS", "the user or password is wrong: correct SECKILL_REDIS_USERNAME and SECKILL_REDIS_PASSWORD"},
	{"without any password configured", "Redis has no password: unset SECKILL_REDIS_PASSWORD, or configure one with requirepass"},
	{"NOPERM", PermissionAdvice},
	{"The user executing the script", PermissionAdvice},
	{"LOADING", "Redis is loading its data after a start: wait until it is done"},
	{"MASTERDOWN", "Redis is a replica without its master: connect to the master, or configure the Sentinels"},
	{"READONLY", "Redis is a replica: connect to the master, or configure the Sentinels and SECKILL_REDIS_SENTINEL_MASTER"},
	{"MISCONF", "Redis cannot save and therefore refuses writes: its disk may be full; see its log"},
	{"OOM command not allowed", "Redis has reached maxmemory and refuses writes: give it more memory and raise maxmemory, or remove foreign data"},
	{"NOREPLICAS", "Redis has too few replicas and refuses writes: start the missing ones, or lower min-replicas-to-write (CONFIG SET min-replicas-to-write 0)"},
	{"CLUSTERDOWN", "some slots of the Cluster are not served: CLUSTER NODES shows which node is down"},
	{"TRYAGAIN", "a slot is on its way to another node: finish the resharding"},
	{"MOVED ", "Redis is a Cluster: set SECKILL_REDIS_CLUSTER=true"},
	{"cluster support disabled", "Redis is no Cluster: set SECKILL_REDIS_CLUSTER=false"},
	{"DENIED ", "Redis runs in protected mode: set a password (requirepass) and SECKILL_REDIS_PASSWORD, and bind it to a private address"},
	{"max number of clients", "all connections of Redis are in use: raise maxclients, or lower SECKILL_REDIS_POOL_SIZE of the processes"},
	{"BUSY ", "a script of another program runs without an end: SCRIPT KILL, and give that program a Redis of its own"},
	{"unknown command", "Redis lacks or has renamed a command: remove rename-command from its configuration; it must be Redis 7 or later, without a proxy in between"},
}

// PermissionAdvice is what to do about a user of Redis that lacks rights.
const PermissionAdvice = "the user lacks permissions: ACL SETUSER it with ~seckill:* &seckill:* +@all -@admin -@dangerous +info, on a Cluster also +cluster|shards +cluster|slots"

func explainRedis(err error) string {
	switch {
	case errors.Is(err, stock.ErrUnheard):
		return "a proxy in between does not pass publish and subscribe on, or the addresses are different servers: connect to the servers directly"
	case errors.Is(err, errNoMaster):
		return "no slot of the Cluster is served: CLUSTER NODES shows which node is down, redis-cli --cluster create makes one"
	case errors.Is(err, stock.ErrNotUndone):
		return "another program writes to the keys seckill:*, or the addresses are different servers: give this program a Redis of its own"
	}
	for _, e := range redisAdvice {
		if strings.Contains(err.Error(), e.says) {
			return e.advice
		}
	}
	if advice := network(err, "SECKILL_REDIS_ADDRS"); advice != "" {
		return advice
	}
	return "check that the server is up (scripts/up starts one), and SECKILL_REDIS_ADDRS, user and password"
}

func explainRocketMQ(err error) string {
	says := func(texts ...string) bool {
		return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(err.Error(), text) })
	}
	switch {
	case errors.Is(err, rocketmq.ErrNoBroker):
		return "the name servers answer but have no broker: start it, or set its namesrvAddr to these name servers; it registers within 10 s"
	case errors.Is(err, rocketmq.ErrNoGroup):
		return "run `seckill migrate up`, which makes the group: with autoCreateSubscriptionGroup=false the broker delivers nothing to one that it does not have"
	case errors.Is(err, rocketmq.ErrPermission):
		return "set brokerPermission=6 in the broker's configuration; if it is 6, give the topic the permission 6 (mqadmin updateTopicPerm)"
	case errors.Is(err, rocketmq.ErrNoTopic):
		return topicAdvice
	case says("disk full", "service not available now", "CODE: 14", "answer 14:"):
		return "the broker takes no messages: its disk is above 90 % (free space), or it is shutting down; see its store.log"
	case says("broker busy", "system busy"):
		return "the broker is overloaded, mostly by its disk: lower the load, or give it a faster disk; see its store.log"
	case says("no permission"):
		return "the group or the topic is closed: mqadmin updateSubGroup -d true for the group, or the permission 6 for the topic"
	case says("AclException", "signature", "uthentication", "uthorization", "accessKey", "username", "User:"):
		return "RocketMQ refuses the key: correct SECKILL_ROCKETMQ_ACCESS_KEY and SECKILL_ROCKETMQ_SECRET_KEY, or the permissions of the key"
	}
	if _, wrongHost := errors.AsType[x509.HostnameError](err); wrongHost {
		return "the certificate is for another name: set SECKILL_ROCKETMQ_TLS_SERVER_NAME to the one that name servers and brokers have in theirs, or give each a certificate for its address (of a broker, brokerIP1)"
	}
	if advice := network(err, "SECKILL_ROCKETMQ_NAMESERVERS"); advice != "" {
		return advice + ". If this is the broker's address, check that it advertises one (brokerIP1) that is reachable from here"
	}
	return "check that name server and broker are up, and that the broker advertises an address (brokerIP1) that is reachable from here"
}

// topicAdvice is what to do about a missing topic.
const topicAdvice = "run `seckill migrate up`; if it has been run, the broker of the topic is down"
