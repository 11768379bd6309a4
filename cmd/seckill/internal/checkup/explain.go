package checkup

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/go-sql-driver/mysql"

	"seckill/admin"
	ordermysql "seckill/order/mysql"
	"seckill/queue/rocketmq"
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
	switch {
	case errors.As(err, &unknown), errors.As(err, &wrongHost):
		return "its certificate is not trusted: check its CA_FILE setting, and whether the certificate is for the name in " + setting
	case errors.As(err, &name):
		return "the host name cannot be resolved: correct " + setting + " or the DNS"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens at this address: start the server (scripts/up starts one on this machine), or correct " + setting
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return "no answer in time: the host is down, a firewall drops packets, or the server hangs; check " + setting
	case errors.Is(err, syscall.ECONNRESET):
		return "the server closes the connection: check whether it requires TLS, and whether a proxy is in between"
	}
	return ""
}

func explainMySQL(err error) string {
	if errors.Is(err, ordermysql.ErrSession) {
		return "do what the message says for each variable; no role uses such a connection"
	}
	refused, answered := errors.AsType[*mysql.MySQLError](err)
	if !answered {
		if advice := network(err, "SECKILL_MYSQL_DSN"); advice != "" {
			return advice
		}
		return "check that the server is up, and SECKILL_MYSQL_DSN: user:password@tcp(host:3306)/database"
	}
	switch refused.Number {
	case 1045, 1698:
		return "the user or password is wrong: correct SECKILL_MYSQL_DSN, or create the user"
	case 1044, 1142, 1143:
		return "the user lacks privileges: GRANT ALL ON its database"
	case 1049:
		return "create the database with CREATE DATABASE, then run `seckill migrate up`; or correct SECKILL_MYSQL_DSN"
	case 1040, 1203:
		return "all connections of the server are in use: raise max_connections, or lower SECKILL_MYSQL_MAX_CONNS of the processes"
	case 1146:
		return "run `seckill migrate up`"
	case 1193:
		return "the server is not MySQL 8.0 or MariaDB 10.11, or a proxy is in between: connect to the server directly"
	case 1227:
		return "the user lacks the privilege to read this: ask the administrator of the server"
	}
	return "see the server's message"
}

func explainRedis(err error) string {
	for prefix, advice := range map[string]string{
		"NOAUTH":      "Redis requires a password: set SECKILL_REDIS_PASSWORD",
		"WRONGPASS":   "the user or password is wrong: correct SECKILL_REDIS_USERNAME and SECKILL_REDIS_PASSWORD",
		"NOPERM":      "the user lacks permissions: allow the commands, the keys seckill:* and the channels seckill:*",
		"LOADING":     "Redis is loading its data after a start: wait until it is done",
		"MASTERDOWN":  "Redis is a replica without its master: connect to the master, or configure the Sentinels",
		"READONLY":    "Redis is a replica: connect to the master, or configure the Sentinels and SECKILL_REDIS_SENTINEL_MASTER",
		"MISCONF":     "Redis cannot save and therefore refuses writes: its disk may be full; see its log",
		"CLUSTERDOWN": "some slots of the Cluster are not served: CLUSTER NODES shows which node is down",
		"MOVED":       "Redis is a Cluster: set SECKILL_REDIS_CLUSTER=true",
	} {
		if strings.HasPrefix(err.Error(), prefix) {
			return advice
		}
	}
	if advice := network(err, "SECKILL_REDIS_ADDRS"); advice != "" {
		return advice
	}
	return "check that the server is up (scripts/up starts one), and SECKILL_REDIS_ADDRS, user and password"
}

func explainRocketMQ(err error) string {
	switch {
	case errors.Is(err, rocketmq.ErrNoBroker):
		return "the name servers answer but have no broker: start it, or set its namesrvAddr to these name servers; it registers within 10 s"
	case errors.Is(err, rocketmq.ErrNoTopic):
		return topicAdvice
	case strings.Contains(err.Error(), "AclException"), strings.Contains(err.Error(), "signature"):
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
