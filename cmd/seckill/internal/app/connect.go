package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"fmt"
	"os"
	"time"

	"github.com/redis/go-redis/v9"

	"seckill/internal/config"
	"seckill/order/mysql"
)

// openRedis returns a client for one server, a Sentinel group or a Cluster. It
// connects on first use.
func openRedis(c config.Redis) (redis.UniversalClient, error) {
	redis.SetLogger(quiet{}) // its errors contain what it would print
	opts, err := redisOptions(c)
	if err != nil {
		return nil, err
	}
	return redis.NewUniversalClient(opts), nil
}

func redisOptions(c config.Redis) (*redis.UniversalOptions, error) {
	opts := &redis.UniversalOptions{
		Addrs: c.Addrs, DB: c.DB, Username: c.Username, Password: c.Password,
		MasterName: c.SentinelMaster, SentinelPassword: c.SentinelPassword,
		IsClusterMode: c.Cluster,
		PoolSize:      c.PoolSize,
		DialTimeout:   time.Second,
		ReadTimeout:   2 * time.Second,
		WriteTimeout:  2 * time.Second,
		PoolTimeout:   time.Second,
		// A script call whose response was lost is repeated by a caller that knows
		// that this is safe; the client must not do it.
		MaxRetries:            -1,
		DialerRetries:         1, // not five connection attempts for each poll
		ContextTimeoutEnabled: true,
		DisableIdentity:       true,
	}
	if c.TLS {
		t, err := tlsConfig(c.CAFile)
		if err != nil {
			return nil, badSetting("SECKILL_REDIS_CA_FILE", err)
		}
		opts.TLSConfig = t
	}
	return opts, nil
}

// quiet drops the log lines of the client.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// openDB returns a connection pool for MySQL. It connects on first use.
func openDB(c config.MySQL) (*sql.DB, error) {
	opts := mysql.DBOptions{MaxConns: c.MaxConns}
	if c.NoTimeout {
		opts.Timeout = -1
	}
	if c.TLS {
		t, err := tlsConfig(c.CAFile)
		if err != nil {
			return nil, badSetting("SECKILL_MYSQL_CA_FILE", err)
		}
		opts.TLS = t
	}
	db, err := mysql.OpenDB(c.DSN, opts)
	if err != nil {
		return nil, badSetting("SECKILL_MYSQL_DSN", err)
	}
	return db, nil
}

func tlsConfig(caFile string) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	t.RootCAs = x509.NewCertPool()
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", caFile)
	}
	return t, nil
}
