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
	"seckill/queue/rocketmq"
)

// down is the finding of a server that does not answer.
func down(server string, err error, advice string) Finding {
	f := failure(server, advice, "%s", err)
	f.Down = true
	return f
}

// Unread is the finding of what a server did not say, and so nothing is judged
// by. The error names the server where it is an *admin.UnavailableError.
func Unread(name string, err error) Finding {
	advice := "this is a fault of the program or of what is stored: report it with this line"
	if away, ok := errors.AsType[*admin.UnavailableError](err); ok {
		switch away.Server {
		case "mysql":
			advice = explainMySQL(away.Err)
		case "redis":
			advice = explainRedis(away.Err)
		}
	}
	return failure(name, advice, "cannot be read, and is not judged: %s", err)
}

// network says what to do about a server that is not reached; empty where the
// error is another one. setting names its address.
func network(err error, setting string) string {
	var unknown x509.UnknownAuthorityError
	var wrongHost x509.HostnameError
	var name *net.DNSError
	var netErr net.Error
	switch {
	case errors.As(err, &unknown), errors.As(err, &wrongHost):
		return "its certificate is not trusted here: is the setting of its CA_FILE right, and does the certificate have the name in " + setting + "?"
	case errors.As(err, &name):
		return "nobody knows that name here: correct " + setting + ", or the DNS"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: start the server (scripts/up starts one on this machine), or correct " + setting
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return "no answer in time: its host is down, a firewall drops what is sent, or the server hangs; is " + setting + " right?"
	case errors.Is(err, syscall.ECONNRESET):
		return "it closes the connection: does it want TLS, or does a proxy stand before it?"
	}
	return ""
}

func explainMySQL(err error) string {
	refused, answered := errors.AsType[*mysql.MySQLError](err)
	if !answered {
		if advice := network(err, "SECKILL_MYSQL_DSN"); advice != "" {
			return advice
		}
		return "is the server up, and is SECKILL_MYSQL_DSN right: user:password@tcp(host:3306)/database?"
	}
	switch refused.Number {
	case 1045, 1698:
		return "user or password is wrong: correct SECKILL_MYSQL_DSN, or make the user there"
	case 1044, 1142, 1143:
		return "the user may not do that: GRANT ALL ON its database"
	case 1049:
		return "CREATE DATABASE of that name, then `seckill migrate up`; or correct SECKILL_MYSQL_DSN"
	case 1040, 1203:
		return "all its connections are taken: raise max_connections, or lower SECKILL_MYSQL_MAX_CONNS of the processes"
	case 1146:
		return "run `seckill migrate up`"
	case 1193:
		return "the server is not MySQL 8.0 or MariaDB 10.11, or a proxy stands before it: connect to the server itself"
	case 1227:
		return "the user may not read that: ask whoever runs the server"
	}
	return "see what the server says"
}

func explainRedis(err error) string {
	for prefix, advice := range map[string]string{
		"NOAUTH":      "it wants a password: set SECKILL_REDIS_PASSWORD",
		"WRONGPASS":   "user or password is wrong: correct SECKILL_REDIS_USERNAME and SECKILL_REDIS_PASSWORD",
		"NOPERM":      "the user may not do that: give it the commands, the keys seckill:* and the channels seckill:*",
		"LOADING":     "it is reading its data after a start: wait until it is through",
		"MASTERDOWN":  "it is a replica without its master: connect to the master, or name the Sentinels",
		"READONLY":    "it is a replica: connect to the master, or name the Sentinels and SECKILL_REDIS_SENTINEL_MASTER",
		"MISCONF":     "it cannot save and therefore takes no writes: is its disk full? Its log says why",
		"CLUSTERDOWN": "its Cluster lacks a part of the slots: CLUSTER NODES says which node is down",
		"MOVED":       "it is a Cluster: set SECKILL_REDIS_CLUSTER=true",
	} {
		if strings.HasPrefix(err.Error(), prefix) {
			return advice
		}
	}
	if advice := network(err, "SECKILL_REDIS_ADDRS"); advice != "" {
		return advice
	}
	return "is the server up, are SECKILL_REDIS_ADDRS, user and password right? scripts/up starts one"
}

func explainRocketMQ(err error) string {
	switch {
	case errors.Is(err, rocketmq.ErrNoBroker):
		return "the name servers answer and know no broker: start it, or have its namesrvAddr be these name servers; it makes itself known within 10 s"
	case errors.Is(err, rocketmq.ErrNoTopic):
		return "run `seckill migrate up`; where it has been run, the topic's broker is away"
	case strings.Contains(err.Error(), "AclException"), strings.Contains(err.Error(), "signature"):
		return "it refuses the key: correct SECKILL_ROCKETMQ_ACCESS_KEY and SECKILL_ROCKETMQ_SECRET_KEY, or what the key may do"
	}
	if advice := network(err, "SECKILL_ROCKETMQ_NAMESERVERS"); advice != "" {
		return advice + ". If that is the broker's address: does it advertise one (brokerIP1) that is reachable from here?"
	}
	return "are name server and broker up, and does the broker advertise an address (brokerIP1) that is reachable from here?"
}
