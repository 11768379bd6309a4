package config

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// DefaultAdminListen is the default address of health checks and metrics.
const DefaultAdminListen = "127.0.0.1:8081"

// Setting is one row of the settings table.
type Setting struct {
	Key     string // in the settings file
	Default string
	Help    string
	Secret  bool // may also come from a file: SECKILL_<KEY>_FILE; shown redacted
	set     func(*Config, string) error
}

// Env returns the environment variable of s.
func (s Setting) Env() string { return prefix + strings.ToUpper(s.Key) }

// Settings returns the table of all settings in display order.
//
//nolint:funlen // a table
func Settings() []Setting {
	return []Setting{
		{"listen", "127.0.0.1:8080", "address for shoppers", false, addr(func(c *Config) *string { return &c.Listen })},
		{"admin_listen", DefaultAdminListen, "address of the admin API, health checks and metrics; never make it public", false, addr(func(c *Config) *string { return &c.AdminListen })},
		{"log_level", "info", "debug, info, warn or error", false, oneOf(func(c *Config) *string { return &c.LogLevel }, "debug", "info", "warn", "error")},
		{"log_format", "json", "json or text", false, oneOf(func(c *Config) *string { return &c.LogFormat }, "json", "text")},

		{"trace_endpoint", "", "address to send OpenTelemetry traces to (OTLP over HTTP), such as `http://127.0.0.1:4318`; empty disables tracing", false, webAddress(func(c *Config) *string { return &c.Trace.Endpoint })},
		{"trace_sample", "0.01", "ratio of traced requests, 0 to 1; a caller's `traceparent` is followed, at most 100 times a second", false, float(func(c *Config) *float64 { return &c.Trace.Sample }, "1")},

		{"mysql_dsn", "", "user:password@tcp(host:3306)/seckill", true, str(func(c *Config) *string { return &c.MySQL.DSN })},
		{"mysql_max_conns", "8", "maximum connections of one process; a consumer needs 4 more than it has workers", false, num(func(c *Config) *int { return &c.MySQL.MaxConns }, 4, 1000)},
		{"mysql_tls", "false", "use TLS and verify the server's certificate", false, boolean(func(c *Config) *bool { return &c.MySQL.TLS })},
		{"mysql_ca_file", "", "PEM file of the certificate authority; empty uses those of the system", false, str(func(c *Config) *string { return &c.MySQL.CAFile })},

		{"redis_addrs", "", "host:port; a comma-separated list for Sentinel or Cluster", false, list(func(c *Config) *[]string { return &c.Redis.Addrs })},
		{"redis_username", "", "ACL user", false, str(func(c *Config) *string { return &c.Redis.Username })},
		{"redis_password", "", "password of the user or of the server", true, str(func(c *Config) *string { return &c.Redis.Password })},
		{"redis_db", "0", "database number; must be 0 on a Cluster", false, num(func(c *Config) *int { return &c.Redis.DB }, 0, 1<<20)},
		{"redis_cluster", "false", "whether the addresses are nodes of a Redis Cluster", false, boolean(func(c *Config) *bool { return &c.Redis.Cluster })},
		{"redis_sentinel_master", "", "name of the master; if set, the addresses are those of the Sentinels", false, str(func(c *Config) *string { return &c.Redis.SentinelMaster })},
		{"redis_sentinel_password", "", "password of the Sentinels", true, str(func(c *Config) *string { return &c.Redis.SentinelPassword })},
		{"redis_tls", "false", "use TLS and verify the server's certificate", false, boolean(func(c *Config) *bool { return &c.Redis.TLS })},
		{"redis_ca_file", "", "PEM file of the certificate authority; empty uses those of the system", false, str(func(c *Config) *string { return &c.Redis.CAFile })},
		// The collector of a sale makes one call at a time: most connections serve polls.
		{"redis_pool_size", "32", "maximum connections of one process", false, num(func(c *Config) *int { return &c.Redis.PoolSize }, 4, 10000)},

		{"rocketmq_nameservers", "", "host:port of each name server", false, list(func(c *Config) *[]string { return &c.RocketMQ.NameServers })},
		{"rocketmq_access_key", "", "ACL access key", false, str(func(c *Config) *string { return &c.RocketMQ.AccessKey })},
		{"rocketmq_secret_key", "", "ACL secret key", true, str(func(c *Config) *string { return &c.RocketMQ.SecretKey })},
		{"rocketmq_tls", "false", "use TLS and verify the certificates of name servers and brokers", false, boolean(func(c *Config) *bool { return &c.RocketMQ.TLS })},
		{"rocketmq_ca_file", "", "PEM file of the certificate authority; empty uses those of the system", false, str(func(c *Config) *string { return &c.RocketMQ.CAFile })},
		{"rocketmq_tls_server_name", "", "name in the certificates of all name servers and brokers; empty: each has one for the host of its address, a broker for its `brokerIP1`", false, str(func(c *Config) *string { return &c.RocketMQ.ServerName })},
		{"rocketmq_namespace", "", "namespace of topics and groups", false, str(func(c *Config) *string { return &c.RocketMQ.Namespace })},
		{"rocketmq_topic", "SECKILL_ORDER", "topic of the orders", false, name(func(c *Config) *string { return &c.RocketMQ.Topic })},
		{"rocketmq_probe_topic", "SECKILL_PROBE", "topic for messages that test whether the broker works", false, name(func(c *Config) *string { return &c.RocketMQ.ProbeTopic })},
		{"rocketmq_event_topic", "SECKILL_ORDER_EVENT", "topic of the order events, for other systems", false, name(func(c *Config) *string { return &c.RocketMQ.EventTopic })},
		{"rocketmq_group", "SECKILL_SETTLE", "consumer group of the settling consumers", false, name(func(c *Config) *string { return &c.RocketMQ.Group })},
		{"rocketmq_queues", "8", "number of queues of the order and event topics when they are created", false, num(func(c *Config) *int { return &c.RocketMQ.Queues }, 1, 256)},

		{"message_keys", "", "comma-separated keys that sign the messages of orders, so that consumers settle only those of an API: at least 32 bytes each, as hex or text; the first one signs, all are accepted", true, keys(func(c *Config) *[][]byte { return &c.Messages.Keys })},
		{"message_unsigned_until", "", "until this time (RFC 3339, such as 2027-01-31T18:00:00+08:00, at most 7 days ahead) consumers also accept messages that are not signed, for the upgrade from a version that does not sign", false, soon(func(c *Config) *time.Time { return &c.Messages.UnsignedUntil })},
		// The orders of these messages are settled from their reservations meanwhile; 10m is
		// how long an orchestrator usually gives a rolling upgrade.
		{"message_newer_wait", "10m", "how long consumers leave a message of a newer version to a newer consumer, while its queue waits; then it becomes a dead letter", false, duration(func(c *Config) *time.Duration { return &c.Messages.NewerWait }, time.Second, 24*time.Hour)},

		{"jwt_secrets", "", "comma-separated HS256 secrets of at least 32 bytes, each `secret` or `kid=secret`", true, secrets(func(c *Config) *map[string][]byte { return &c.Auth.JWTSecrets })},
		{"jwt_public_keys", "", "comma-separated EdDSA or RS256 public keys, each `kid=file.pem`", false, publicKeys(func(c *Config) *map[string]string { return &c.Auth.JWTPublicKeys })},
		{"jwt_issuer", "seckill", "required `iss` of a token", false, str(func(c *Config) *string { return &c.Auth.Issuer })},
		{"jwt_audience", "shoppers", "required `aud` of a shopper's token", false, str(func(c *Config) *string { return &c.Auth.Audience })},
		{"admin_jwt_secrets", "", "HS256 secrets for operators' tokens, as `jwt_secrets`; without any key for operators the admin API is off", true, secrets(func(c *Config) *map[string][]byte { return &c.Admin.JWTSecrets })},
		{"admin_jwt_public_keys", "", "public keys for operators' tokens, as `jwt_public_keys`", false, publicKeys(func(c *Config) *map[string]string { return &c.Admin.JWTPublicKeys })},
		{"admin_jwt_audience", "operators", "required `aud` of an operator's token", false, str(func(c *Config) *string { return &c.Admin.Audience })},
		{"admin_token_lifetime", "24h", "longest time, from `iat` to `exp`, for which an operator's token may be valid", false, duration(func(c *Config) *time.Duration { return &c.Admin.TokenLifetime }, time.Minute, 366*24*time.Hour)},
		{"admin_denied_tokens", "", "comma-separated `jti` of operators' tokens that are refused", false, list(func(c *Config) *[]string { return &c.Admin.DeniedTokens })},
		{"id_keys", "", "comma-separated keys that seal order IDs, at least 32 bytes each, as hex or text; the first one seals, all are accepted", true, keys(func(c *Config) *[][]byte { return &c.Auth.IDKeys })},

		{"payment_secrets", "", "comma-separated secrets of the payment provider's callbacks (several during a rotation), each `whsec_` and base64 or at least 32 bytes of text; without one, payments are refused", true, setPaymentSecrets},

		{"permit_valid", "2m", "how long a purchase permit is valid, for sales with `require_permit`", false, duration(func(c *Config) *time.Duration { return &c.API.PermitValid }, time.Second, time.Hour)},
		{"challenge_url", "", "siteverify address of a captcha provider (Turnstile, hCaptcha, reCAPTCHA); if set, a permit requires a `challenge` that it accepts", false, webAddress(func(c *Config) *string { return &c.API.ChallengeURL })},
		{"challenge_secret", "", "secret for the captcha provider", true, str(func(c *Config) *string { return &c.API.ChallengeKey })},
		{"challenge_hostnames", "", "comma-separated host names on which a challenge may be answered; empty accepts any", false, list(func(c *Config) *[]string { return &c.API.ChallengeHostnames })},
		{"challenge_action", "", "`action` that the page must have named to the provider (reCAPTCHA v3, Turnstile); empty accepts any", false, str(func(c *Config) *string { return &c.API.ChallengeAction })},
		// Google's own default threshold for reCAPTCHA v3.
		{"challenge_min_score", "0.5", "lowest score that passes, from 0 to 1, where the provider gives one (reCAPTCHA v3; for hCaptcha, 1 minus its risk score)", false, float(func(c *Config) *float64 { return &c.API.ChallengeMinScore }, "1")},

		{"pages", "false", "whether the API also serves pages: its document at `/docs`, a sample page for shoppers at `/`", false, boolean(func(c *Config) *bool { return &c.API.Pages })},
		{"cors_origins", "", "comma-separated origins that may call the API from a browser", false, origins(func(c *Config) *[]string { return &c.API.CORSOrigins })},
		{"trusted_proxies", "", "comma-separated networks of proxies whose X-Forwarded-For is trusted", false, prefixes(func(c *Config) *[]string { return &c.API.TrustedProxies })},
		{"buy_inflight", "4096", "maximum purchases in progress in one process; more are refused (503)", false, num(func(c *Config) *int { return &c.API.BuyInflight }, 1, 1<<20)},
		{"poll_inflight", "4096", "maximum polls in progress in one process, without held ones", false, num(func(c *Config) *int { return &c.API.PollInflight }, 1, 1<<20)},
		{"held_polls", "20000", "maximum held (long) polls in one process; further polls are answered at once", false, num(func(c *Config) *int { return &c.API.HeldPolls }, 0, 1<<20)},
		{"shopper_rps", "10", "requests per second of one shopper over all API processes; 0 means no limit", false, float(func(c *Config) *float64 { return &c.API.ShopperRPS }, "1e9")},
		{"shopper_burst", "50", "requests that a shopper may make at once over all API processes", false, num(func(c *Config) *int { return &c.API.ShopperBurst }, 1, 1<<20)},
		{"address_rps", "0", "requests per second of one address over all API processes; 0 means no limit, because carriers put thousands of shoppers behind one address", false, float(func(c *Config) *float64 { return &c.API.AddressRPS }, "1e9")},
		// At 10,000 settled orders a second this is half a minute of waiting.
		{"backlog_limit", "300000", "orders waiting in the queue above which purchases are refused (503)", false, num(func(c *Config) *int64 { return &c.API.BacklogLimit }, 1, 1<<40)},
		{"stop_delay", "0s", "how long a stopping API process still answers while it reports not ready", false, duration(func(c *Config) *time.Duration { return &c.API.StopDelay }, 0, time.Hour)},
		{"api_drain_timeout", "10s", "how long a stopping API process waits for requests and sends", false, duration(func(c *Config) *time.Duration { return &c.API.DrainTimeout }, time.Second, time.Hour)},

		// All workers update one hot row: 2 are enough, 4 where an fsync takes a millisecond.
		{"consumer_workers", "2", "settling workers of one process, each with at most one open transaction; at most SECKILL_MYSQL_MAX_CONNS - 4", false, num(func(c *Config) *int { return &c.Consumer.Workers }, 1, 64)},
		{"settle_batch", "256", "maximum orders per transaction", false, num(func(c *Config) *int { return &c.Consumer.Batch }, 1, 256)},
		{"settle_linger", "20ms", "how long a busy worker waits to fill a batch; an idle worker does not wait", false, duration(func(c *Config) *time.Duration { return &c.Consumer.Linger }, 0, time.Hour)},
		{"drain_rate", "0", "maximum orders per second that one process settles, to protect the database; 0 means no limit", false, float(func(c *Config) *float64 { return &c.Consumer.DrainRate }, "1e9")},
		{"events", "true", "whether consumers send order events; events of the time when it is false are sent once it is true again", false, boolean(func(c *Config) *bool { return &c.Consumer.Events })},
		{"consumer_drain_timeout", "15s", "how long a stopping consumer waits for its batches", false, duration(func(c *Config) *time.Duration { return &c.Consumer.DrainTimeout }, time.Second, time.Hour)},
	}
}

func str(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error { *field(c) = v; return nil }
}

func list(field func(*Config) *[]string) func(*Config, string) error {
	return func(c *Config, v string) error { *field(c) = split(v); return nil }
}

func split(v string) (parts []string) {
	for p := range strings.SplitSeq(v, ",") {
		if p = strings.TrimSpace(p); p != "" {
			parts = append(parts, p)
		}
	}
	return parts
}

func addr(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		if _, port, err := net.SplitHostPort(v); err != nil || port == "" {
			return fmt.Errorf("want host:port, got %q", v)
		}
		*field(c) = v
		return nil
	}
}

func webAddress(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		u, err := url.Parse(v)
		if v != "" && (err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http") {
			return errors.New("want an address such as https://host/path, without a password")
		}
		*field(c) = v
		return nil
	}
}

// origins reads what a browser sends as Origin: scheme, host, and a port that is not
// the scheme's own.
func origins(field func(*Config) *[]string) func(*Config, string) error {
	return func(c *Config, v string) error {
		*field(c) = split(v)
		for _, o := range *field(c) {
			u, err := url.Parse(o)
			if o != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != o || o != strings.ToLower(o) || strings.Contains(o, "*") ||
				u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80") {
				return fmt.Errorf("want origins as browsers send them, such as https://shop.example or http://localhost:3000 (lower case, no path, no slash at the end, no default port), or * alone; got %q, which matches none", o)
			}
		}
		if slices.Contains(*field(c), "*") && len(*field(c)) > 1 {
			return errors.New("want * alone, or a list without it")
		}
		return nil
	}
}

func oneOf(field func(*Config) *string, values ...string) func(*Config, string) error {
	return func(c *Config, v string) error {
		if !slices.Contains(values, v) {
			return fmt.Errorf("want one of %s, got %q", strings.Join(values, ", "), v)
		}
		*field(c) = v
		return nil
	}
}

// nameRE matches the names of topics and groups that RocketMQ allows.
var nameRE = regexp.MustCompile(`^[A-Za-z0-9_-]{1,127}$`)

func name(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		if !nameRE.MatchString(v) {
			return fmt.Errorf("want letters, digits, _ and -, got %q", v)
		}
		*field(c) = v
		return nil
	}
}

func prefixes(field func(*Config) *[]string) func(*Config, string) error {
	return func(c *Config, v string) error {
		*field(c) = split(v)
		for _, p := range *field(c) {
			if _, err := netip.ParsePrefix(p); err != nil {
				return fmt.Errorf("want networks such as 10.0.0.0/8, got %q", p)
			}
		}
		return nil
	}
}

func num[T int | int64](field func(*Config) *T, lowest, highest T) func(*Config, string) error {
	return func(c *Config, v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < int64(lowest) || n > int64(highest) {
			return fmt.Errorf("want a whole number from %d to %d, got %q", lowest, highest, v)
		}
		*field(c) = T(n)
		return nil
	}
}

// float accepts 0 to highest, a number as text.
func float(field func(*Config) *float64, highest string) func(*Config, string) error {
	most, _ := strconv.ParseFloat(highest, 64)
	return func(c *Config, v string) error {
		n, err := strconv.ParseFloat(v, 64)
		if err != nil || !(n >= 0 && n <= most) {
			return fmt.Errorf("want a number from 0 to %s, got %q", highest, v)
		}
		*field(c) = n
		return nil
	}
}

func boolean(field func(*Config) *bool) func(*Config, string) error {
	return func(c *Config, v string) error {
		b, err := strconv.ParseBool(v)
		if err != nil {
			return fmt.Errorf("want true or false, got %q", v)
		}
		*field(c) = b
		return nil
	}
}

func duration(field func(*Config) *time.Duration, lowest, highest time.Duration) func(*Config, string) error {
	return func(c *Config, v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d < lowest || d > highest {
			return fmt.Errorf("want a duration such as 10s, from %s to %s, got %q", lowest, highest, v)
		}
		*field(c) = d
		return nil
	}
}

// minSecret is the shortest accepted secret: HS256 requires a key as long as its
// output (RFC 7518, 3.2).
const minSecret = 32

// checkSecret refuses what can be guessed: 24 random bytes in any notation have
// more than 8 different characters.
func checkSecret(secret []byte, lowest int) error {
	var seen [256]bool
	different := 0
	for _, b := range secret {
		if !seen[b] {
			seen[b] = true
			different++
		}
	}
	if len(secret) >= lowest && different >= 8 {
		return nil
	}
	return errors.New("a secret needs at least 32 bytes that nobody can guess: create one with `openssl rand -hex 32`")
}

func secrets(field func(*Config) *map[string][]byte) func(*Config, string) error {
	return func(c *Config, v string) error {
		found := map[string][]byte{}
		*field(c) = found
		for _, part := range split(v) {
			kid, secret, ok := strings.Cut(part, "=")
			if !ok || strings.Trim(secret, "=") == "" { // base64 padding is not a separator
				kid, secret = "", part
			}
			if err := checkSecret([]byte(secret), minSecret); err != nil {
				return err
			}
			if _, twice := found[kid]; twice {
				return fmt.Errorf("two secrets under the key ID %q", kid)
			}
			found[kid] = []byte(secret)
		}
		return nil
	}
}

func publicKeys(field func(*Config) *map[string]string) func(*Config, string) error {
	return func(c *Config, v string) error {
		found := map[string]string{}
		*field(c) = found
		for _, part := range split(v) {
			kid, path, ok := strings.Cut(part, "=")
			if !ok || kid == "" || path == "" {
				return fmt.Errorf("want kid=file.pem, got %q", part)
			}
			found[kid] = path
		}
		return nil
	}
}

func keys(field func(*Config) *[][]byte) func(*Config, string) error {
	return func(c *Config, v string) error {
		*field(c) = nil
		for _, part := range split(v) {
			key := []byte(part)
			if b, err := hex.DecodeString(part); err == nil && len(b) >= minSecret {
				key = b
			}
			if err := checkSecret(key, minSecret); err != nil {
				return err
			}
			*field(c) = append(*field(c), key)
		}
		return nil
	}
}

// soon reads a time at which something ends. A time that is far away would be forgotten.
func soon(field func(*Config) *time.Time) func(*Config, string) error {
	const farthest = 7 * 24 * time.Hour
	return func(c *Config, v string) error {
		if *field(c) = (time.Time{}); v == "" {
			return nil
		}
		at, err := time.Parse(time.RFC3339, v)
		if err != nil || time.Until(at) > farthest {
			return fmt.Errorf("want a time with its zone, such as 2027-01-31T18:00:00+08:00, at most 7 days ahead, got %q", v)
		}
		*field(c) = at
		return nil
	}
}

// minRandom is the shortest secret of Standard Webhooks, which consists of random
// bytes.
const minRandom = 24

func setPaymentSecrets(c *Config, v string) error {
	c.API.PaymentSecrets = nil
	for _, part := range split(v) {
		secret, lowest := []byte(part), minSecret
		if text, ok := strings.CutPrefix(part, "whsec_"); ok {
			b, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				return errors.New("the text after whsec_ is not base64")
			}
			secret, lowest = b, minRandom
		}
		if err := checkSecret(secret, lowest); err != nil {
			return err
		}
		c.API.PaymentSecrets = append(c.API.PaymentSecrets, secret)
	}
	return nil
}

// redact hides a secret but shows whether it is set. Of a DSN it hides the password,
// as the driver finds it; of one that the driver cannot read, all.
func redact(s Setting, v string) string {
	if v == "" {
		return ""
	}
	if s.Key == "mysql_dsn" {
		if dsn, err := mysql.ParseDSN(v); err == nil {
			dsn.Passwd = "redacted"
			return dsn.FormatDSN()
		}
	}
	return "redacted"
}
