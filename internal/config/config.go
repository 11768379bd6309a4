// Package config reads the settings: environment (SECKILL_*) over a YAML file
// over defaults. Every bad value is reported, all at once.
package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
)

// Config is every setting; main passes each package its part.
type Config struct {
	Listen      string
	AdminListen string
	LogLevel    string
	LogFormat   string

	MySQL    MySQL
	Redis    Redis
	RocketMQ RocketMQ
	Auth     Auth
	Admin    Admin
	API      API
	Consumer Consumer
	Trace    Trace
}

// Trace is where the spans of traced requests go.
type Trace struct {
	Endpoint string  // OTLP over HTTP; empty: nothing is traced
	Sample   float64 // of requests, 0 to 1
}

// MySQL is the database of record.
type MySQL struct {
	DSN      string
	MaxConns int
	TLS      bool
	CAFile   string
	// NoTimeout lets a statement take as long as it takes: for migrations, by
	// the program, no setting.
	NoTimeout bool
}

// Redis holds the reservations: one server, a Sentinel group or a Cluster.
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
}

// Auth is how shoppers prove who they are, and how order IDs are sealed.
type Auth struct {
	JWTSecrets    map[string][]byte // by kid; "" for tokens without one
	JWTPublicKeys map[string]string // kid -> PEM file
	Issuer        string
	Audience      string
	IDKeys        [][]byte // the first seals, all are accepted
}

// Admin is how operators prove who they are; the issuer is that of Auth.
type Admin struct {
	JWTSecrets    map[string][]byte
	JWTPublicKeys map[string]string
	Audience      string
}

// API is what an API process may take on.
type API struct {
	PaymentSecrets [][]byte
	PermitValid    time.Duration
	ChallengeURL   string // empty: permits are given without a challenge
	ChallengeKey   string
	CORSOrigins    []string
	TrustedProxies []string
	BuyInflight    int
	PollInflight   int
	HeldPolls      int
	ShopperRPS     float64
	ShopperBurst   int
	AddressRPS     float64
	BacklogLimit   int64
	StopDelay      time.Duration
	DrainTimeout   time.Duration
}

// Consumer is the pool that settles.
type Consumer struct {
	Workers      int
	Batch        int
	Linger       time.Duration
	DrainRate    float64 // orders a second of the process; 0 is no cap
	Events       bool    // order events leave
	DrainTimeout time.Duration
}

// prefix starts the name of every environment variable of ours.
const prefix = "SECKILL_"

// Load reads the settings of environ ("KEY=value" each) over those of the YAML
// file at path, if it is not empty, over the defaults.
func Load(environ []string, path string) (Config, error) {
	k, err := layers(environ, path)
	if err != nil {
		return Config{}, err
	}
	var cfg Config
	var errs []error
	for _, s := range Settings() {
		value := strings.TrimSpace(text(k, s.Key))
		if value == "" {
			value = s.Default
		}
		if err := s.set(&cfg, value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.Env(), err))
		}
	}
	return cfg, errors.Join(errs...)
}

// Values returns what each setting of environ and the file at path comes to,
// by its key, defaults included and secrets redacted.
func Values(environ []string, path string) (map[string]string, error) {
	k, err := layers(environ, path)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, s := range Settings() {
		v := text(k, s.Key)
		if v == "" {
			v = s.Default
		}
		if s.Secret {
			v = redact(s, v)
		}
		values[s.Key] = v
	}
	return values, nil
}

// layers merges the file and the environment. A setting the file should not
// have is an error; one of the environment is not, since orchestrators put
// variables of their own there (SECKILL_PORT for a service named seckill).
func layers(environ []string, path string) (*koanf.Koanf, error) {
	k := koanf.New(".")
	known := map[string]bool{}
	for _, s := range Settings() {
		known[s.Key] = true
	}
	if path != "" {
		if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
			return nil, fmt.Errorf("settings file: %w", err)
		}
		for _, key := range k.Keys() {
			if !known[key] {
				return nil, fmt.Errorf("settings file %s: there is no setting %q; `seckill config --list` lists them all", path, key)
			}
		}
	}
	fromEnv := env.Provider(".", env.Opt{
		Prefix:        prefix,
		EnvironFunc:   func() []string { return environ },
		TransformFunc: func(k, v string) (string, any) { return strings.ToLower(strings.TrimPrefix(k, prefix)), v },
	})
	e := koanf.New(".")
	if err := e.Load(fromEnv, nil); err != nil {
		return nil, err
	}
	values := map[string]any{}
	for key, v := range e.All() {
		if s, ok := v.(string); ok && strings.TrimSpace(s) != "" && known[key] {
			values[key] = s
		}
	}
	if err := readFiles(values, e); err != nil {
		return nil, err
	}
	return k, k.Load(confmap.Provider(values, "."), nil)
}

// readFiles reads the secrets that SECKILL_…_FILE variables name the file of.
func readFiles(values map[string]any, env *koanf.Koanf) error {
	for _, s := range Settings() {
		path := env.String(s.Key + "_file")
		if !s.Secret || path == "" {
			continue
		}
		if _, both := values[s.Key]; both {
			return fmt.Errorf("%s and %s_FILE are both set: keep one", s.Env(), s.Env())
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("%s_FILE: %w", s.Env(), err)
		}
		values[s.Key] = strings.TrimSpace(string(b))
	}
	return nil
}

// text returns a setting as one string; a list of the file is joined by commas.
func text(k *koanf.Koanf, key string) string {
	switch v := k.Get(key).(type) {
	case nil:
		return ""
	case []any:
		parts := make([]string, len(v))
		for i, p := range v {
			parts[i] = fmt.Sprint(p)
		}
		return strings.Join(parts, ",")
	case map[string]any:
		keys := slices.Sorted(maps.Keys(v))
		for i, key := range keys {
			keys[i] = fmt.Sprintf("%s=%v", key, v[key])
		}
		return strings.Join(keys, ",")
	default:
		return fmt.Sprint(v)
	}
}
