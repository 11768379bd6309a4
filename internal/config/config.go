// Package config reads the settings: the environment (SECKILL_*) overrides a YAML
// file, which overrides the defaults. It reports all bad values at once.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"seckill/internal/strictyaml"
)

// Config holds all settings; the wiring passes each package its part.
type Config struct {
	Listen      string
	AdminListen string
	LogLevel    string
	LogFormat   string

	MySQL    MySQL
	Redis    Redis
	RocketMQ RocketMQ
	Messages Messages
	Auth     Auth
	Admin    Admin
	API      API
	Consumer Consumer
	Trace    Trace
}

// Trace configures tracing.
type Trace struct {
	Endpoint string  // OTLP over HTTP; empty disables tracing
	Sample   float64 // ratio of requests, 0 to 1
}

// MySQL is the database of record.
type MySQL struct {
	DSN      string
	MaxConns int
	TLS      bool
	CAFile   string
	// NoTimeout lets statements run without a timeout. The program sets it for
	// migrations; it is not a setting.
	NoTimeout bool
}

// Redis stores the reservations: one server, a Sentinel group or a Cluster.
type Redis struct {
	Addrs            []string
	Username         string
	Password         string
	DB               int
	Cluster          bool
	SentinelMaster   string
	SentinelPassword string
	TLS              bool
	CAFile           string
	PoolSize         int
}

// RocketMQ is the queue between the API and the consumers.
type RocketMQ struct {
	NameServers []string
	AccessKey   string
	SecretKey   string
	Namespace   string
	Topic       string
	ProbeTopic  string
	EventTopic  string
	Group       string
	Queues      int
	TLS         bool
	CAFile      string
	ServerName  string // in certificates; empty: the host of each address
}

// Messages are the messages of orders, from API to consumer.
type Messages struct {
	Keys          [][]byte      // the first one signs, all are accepted
	UnsignedUntil time.Time     // zero: messages without a MAC are never accepted
	NewerWait     time.Duration // for a consumer of a newer version
}

// Auth holds the keys that verify shoppers' tokens and seal order IDs.
type Auth struct {
	JWTSecrets    map[string][]byte // by kid; "" for tokens without one
	JWTPublicKeys map[string]string // kid -> PEM file
	Issuer        string
	Audience      string
	IDKeys        [][]byte // the first one seals, all are accepted
}

// Admin holds the keys that verify operators' tokens; the issuer is that of Auth.
type Admin struct {
	JWTSecrets    map[string][]byte
	JWTPublicKeys map[string]string
	Audience      string
	TokenLifetime time.Duration // the longest of an operator's token
	DeniedTokens  []string      // jti
}

// API configures an API process.
type API struct {
	PaymentSecrets     [][]byte
	PermitValid        time.Duration
	Pages              bool   // serve pages, not only the API
	ChallengeURL       string // empty: permits need no challenge
	ChallengeKey       string
	ChallengeHostnames []string
	ChallengeAction    string
	ChallengeMinScore  float64
	CORSOrigins        []string
	TrustedProxies     []string
	BuyInflight        int
	PollInflight       int
	HeldPolls          int
	ShopperRPS         float64
	ShopperBurst       int
	AddressRPS         float64
	BacklogLimit       int64
	StopDelay          time.Duration
	DrainTimeout       time.Duration
}

// Consumer configures a consumer process.
type Consumer struct {
	Workers      int
	Batch        int
	Linger       time.Duration
	DrainRate    float64 // orders a second of the process; 0 means no limit
	Events       bool    // send order events
	DrainTimeout time.Duration
}

// prefix starts the name of every environment variable of the program.
const prefix = "SECKILL_"

// Load reads the settings. environ ("KEY=value" each) overrides the YAML file at
// path, if path is not empty, which overrides the defaults.
func Load(environ []string, path string) (Config, error) {
	values, err := layers(environ, path)
	if err != nil {
		return Config{}, err
	}
	var cfg Config
	errs := []error{misspelt(environ)}
	for _, s := range Settings() {
		if err := s.set(&cfg, cmp.Or(strings.TrimSpace(values[s.Key]), s.Default)); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.Env(), err))
		}
	}
	return cfg, errors.Join(append(errs, shared(cfg), plaintext(cfg))...)
}

// plaintext refuses settings of TLS where TLS is off: who sets them expects it.
func plaintext(c Config) error {
	var errs []error
	check := func(tls bool, server, name, value string) {
		if !tls && value != "" {
			errs = append(errs, fmt.Errorf("SECKILL_%s_%s has no effect: set SECKILL_%[1]s_TLS=true, or remove it", server, name))
		}
	}
	check(c.MySQL.TLS, "MYSQL", "CA_FILE", c.MySQL.CAFile)
	check(c.Redis.TLS, "REDIS", "CA_FILE", c.Redis.CAFile)
	check(c.RocketMQ.TLS, "ROCKETMQ", "CA_FILE", c.RocketMQ.CAFile)
	check(c.RocketMQ.TLS, "ROCKETMQ", "TLS_SERVER_NAME", c.RocketMQ.ServerName)
	return errors.Join(errs...)
}

// shared refuses a secret of two purposes: who learns it for one has both.
func shared(c Config) error {
	purposes := map[string]string{}
	var errs []error
	use := func(purpose string, secret []byte) {
		if before, twice := purposes[string(secret)]; twice && before != purpose {
			errs = append(errs, fmt.Errorf("%s and %s have a secret in common: each needs one of its own", before, purpose))
		}
		purposes[string(secret)] = purpose
	}
	for _, secret := range c.Auth.JWTSecrets {
		use("SECKILL_JWT_SECRETS", secret)
	}
	for _, secret := range c.Admin.JWTSecrets {
		use("SECKILL_ADMIN_JWT_SECRETS", secret)
	}
	for _, key := range c.Auth.IDKeys {
		use("SECKILL_ID_KEYS", key)
	}
	for _, key := range c.Messages.Keys {
		use("SECKILL_MESSAGE_KEYS", key)
	}
	for _, secret := range c.API.PaymentSecrets {
		use("SECKILL_PAYMENT_SECRETS", secret)
	}
	return errors.Join(errs...)
}

// Values returns the value of each setting by its key, with defaults and with
// secrets redacted.
func Values(environ []string, path string) (map[string]string, error) {
	values, err := layers(environ, path)
	if err != nil {
		return nil, err
	}
	for _, s := range Settings() {
		v := cmp.Or(values[s.Key], s.Default)
		if s.Secret {
			v = redact(s, v)
		}
		values[s.Key] = v
	}
	return values, nil
}

// layers merges the file and the environment, as text.
func layers(environ []string, path string) (map[string]string, error) {
	values, err := readFile(path)
	if err != nil {
		return nil, err
	}
	env := map[string]string{}
	for _, kv := range environ {
		if name, v, _ := strings.Cut(kv, "="); strings.TrimSpace(v) != "" {
			env[name] = v
		}
	}
	for _, s := range Settings() {
		v, isSet := env[s.Env()]
		file := env[s.Env()+"_FILE"]
		switch {
		case !s.Secret || file == "":
		case isSet:
			return nil, fmt.Errorf("%s and %s_FILE are both set: remove one", s.Env(), s.Env())
		default:
			if v, err = readSecret(file); err != nil {
				return nil, fmt.Errorf("%s_FILE: %w", s.Env(), err)
			}
			isSet = true
		}
		if isSet {
			values[s.Key] = v
		}
	}
	return values, nil
}

// readFile reads the settings of a YAML file: the text of each value as it stands
// there; of a list, with commas between.
func readFile(path string) (map[string]string, error) {
	values := map[string]string{}
	if path == "" {
		return values, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("settings file: %w", err)
	}
	fields, err := strictyaml.Parse(b)
	if err != nil && !errors.Is(err, strictyaml.ErrEmpty) {
		return nil, fmt.Errorf("settings file %s: %w", path, err)
	}
	for _, f := range fields {
		if !known(f.Key) {
			return nil, fmt.Errorf("settings file %s, line %d: there is no setting %q%s; `seckill config --list` lists all settings",
				path, f.Line, f.Key, didYouMean(f.Key, keyOf))
		}
		if values[f.Key], err = text(f); err != nil {
			return nil, fmt.Errorf("settings file %s: %s: %w", path, f.Key, err)
		}
	}
	return values, nil
}

// text returns a setting as one string; a list is joined with commas.
func text(f strictyaml.Field) (string, error) {
	pairs, isMap, err := f.Map()
	if !isMap {
		parts, err := f.List()
		return strings.Join(parts, ","), err
	}
	parts := make([]string, len(pairs))
	for i, p := range pairs {
		v, err := p.Text()
		if err != nil {
			return "", err
		}
		parts[i] = p.Key + "=" + v
	}
	slices.Sort(parts)
	return strings.Join(parts, ","), err
}

// readSecret reads the file of a secret, as editors and `kubectl` write them: with
// a byte order mark, with an end of line.
func readSecret(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(strings.TrimPrefix(string(b), "\ufeff"))
	switch {
	case secret == "":
		return "", errors.New("the file is empty")
	case !utf8.ValidString(secret) || strings.ContainsRune(secret, 0):
		return "", errors.New("the file is not UTF-8 text; UTF-16, as some Windows programs write it, is not supported")
	}
	return secret, nil
}

func known(key string) bool {
	return slices.ContainsFunc(Settings(), func(s Setting) bool { return s.Key == key })
}

// Strangers returns the SECKILL_ variables that are no settings. They are no error
// by themselves: orchestrators add variables of their own (SECKILL_PORT for a service
// named seckill), and so do this project's scripts.
func Strangers(environ []string) (names []string) {
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		key, ours := strings.CutPrefix(name, prefix)
		base := strings.TrimSuffix(key, "_FILE")
		if !ours || known(strings.ToLower(key)) || known(strings.ToLower(base)) ||
			slices.ContainsFunc(foreign, func(p string) bool { return strings.HasPrefix(key, p) }) {
			continue
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// foreign begins the variables of this project's scripts and tests.
var foreign = []string{"UP_", "TEST_", "E2E_", "SIM_", "BENCH_", "FAULTS_", "LOAD_", "FAILPOINT", "CLOCK_", "VERSION"}

// misspelt refuses a variable whose name is a letter or two away from a setting's:
// it would be ignored, and what it was to say would not hold.
func misspelt(environ []string) error {
	var errs []error
	for _, name := range Strangers(environ) {
		hint := cmp.Or(didYouMean(name, Setting.Env), didYouMean(strings.TrimSuffix(name, "_FILE"), Setting.Env))
		if hint != "" {
			errs = append(errs, fmt.Errorf("%s is no setting%s", name, hint))
		}
	}
	return errors.Join(errs...)
}
