// Package config reads the settings: the environment (SECKILL_*) overrides a YAML
// file, which overrides the defaults. It reports all bad values at once.
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

// Config holds all settings; the wiring passes each package its part.
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
}

// API configures an API process.
type API struct {
	PaymentSecrets     [][]byte
	PermitValid        time.Duration
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

// Values returns the value of each setting by its key, with defaults and with
// secrets redacted.
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

// layers merges the file and the environment. An unknown setting in the file is an
// error. In the environment it is not: orchestrators add variables of their own
// (SECKILL_PORT for a service named seckill).
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
				return nil, fmt.Errorf("settings file %s: there is no setting %q; `seckill config --list` lists all settings", path, key)
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

// readFiles reads the secrets whose file is named by a SECKILL_…_FILE variable.
func readFiles(values map[string]any, env *koanf.Koanf) error {
	for _, s := range Settings() {
		path := env.String(s.Key + "_file")
		if !s.Secret || path == "" {
			continue
		}
		if _, both := values[s.Key]; both {
			return fmt.Errorf("%s and %s_FILE are both set: remove one", s.Env(), s.Env())
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("%s_FILE: %w", s.Env(), err)
		}
		values[s.Key] = strings.TrimSpace(string(b))
	}
	return nil
}

// text returns a setting as one string; a list in the file is joined with commas.
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
