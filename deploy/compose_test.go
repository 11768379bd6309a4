// Package deploy_test checks what is deployed without deploying it: that the
// compose file's services fit each other and the program.
package deploy_test

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"seckill/internal/config"
)

// system is the compose file, with secrets as make-secrets makes them.
type system struct {
	*types.Project
	secrets string // folder
}

func composeFile(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../compose.yaml")
	require.NoError(t, err)
	return string(text)
}

// load reads a compose file as docker compose does, without environment variables.
func load(t *testing.T, text string) (system, error) {
	t.Helper()
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	p, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  root,
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(root, "compose.yaml"), Content: []byte(text)}},
		Environment: types.Mapping{},
	}, func(o *loader.Options) { o.SetProjectName("seckill", true); o.Profiles = []string{"*"} })
	if err != nil {
		return system{}, err
	}
	s := system{p, t.TempDir()}
	out, err := exec.CommandContext(t.Context(), "compose/make-secrets", s.secrets).CombinedOutput()
	require.NoError(t, err, string(out))
	return s, nil
}

// problems returns everything that is inconsistent.
func (s system) problems() (found []string) {
	for name, svc := range s.Services {
		for _, check := range []func(types.ServiceConfig) []string{
			s.checkImage, s.checkHealth, s.checkDependencies, s.checkSecrets, s.checkMounts, s.checkPorts, s.checkLimits, s.checkHardening,
		} {
			found = append(found, prefixed(name, check(svc))...)
		}
		if !ours(svc) {
			continue
		}
		found = append(found, prefixed(name, s.checkNames(svc))...)
		cfg, err := s.settingsOf(svc)
		if err != nil {
			found = append(found, prefixed(name, []string{err.Error()})...)
			continue
		}
		for _, check := range []func(types.ServiceConfig, config.Config) []string{
			s.checkRequired, s.checkAddresses, s.checkListeners, s.checkStop,
		} {
			found = append(found, prefixed(name, check(svc, cfg))...)
		}
	}
	found = append(append(found, s.checkProxy()...), s.checkObservers()...)
	slices.Sort(found)
	return found
}

func prefixed(service string, problems []string) []string {
	for i, p := range problems {
		problems[i] = service + ": " + p
	}
	return problems
}

// ours reports whether a service runs this program.
func ours(svc types.ServiceConfig) bool { return strings.HasPrefix(svc.Image, "seckill:") }

// job reports whether a service runs once and ends.
func job(svc types.ServiceConfig) bool { return svc.Restart == "no" }

// checkNames: every SECKILL_ variable is a setting of the program.
func (s system) checkNames(svc types.ServiceConfig) (found []string) {
	known := map[string]bool{} // whether it is a secret
	for _, set := range config.Settings() {
		known[set.Env()] = set.Secret
	}
	for name := range svc.Environment {
		if !strings.HasPrefix(name, "SECKILL_") {
			continue
		}
		plain, fromFile := strings.CutSuffix(name, "_FILE")
		if _, plainFile := known[name]; plainFile {
			plain, fromFile = name, false
		}
		secret, ok := known[plain]
		switch {
		case !ok:
			found = append(found, name+" is not a setting")
		case secret && !fromFile:
			found = append(found, name+" is a secret: it comes from a file")
		case fromFile && !secret:
			found = append(found, name+" is no secret: it cannot come from a file")
		}
	}
	return found
}

// settingsOf loads the settings from a service's environment.
func (s system) settingsOf(svc types.ServiceConfig) (config.Config, error) {
	var environ []string
	for name, value := range svc.Environment {
		if value == nil {
			return config.Config{}, fmt.Errorf("%s has no value of its own", name)
		}
		environ = append(environ, name+"="+strings.Replace(*value, "/run/secrets/", s.secrets+"/", 1))
	}
	return config.Load(environ, "")
}

// checkRequired: what the command refuses to start without.
func (s system) checkRequired(svc types.ServiceConfig, c config.Config) (found []string) {
	needs := map[string]bool{"SECKILL_MYSQL_DSN": c.MySQL.DSN != "", "SECKILL_ROCKETMQ_NAMESERVERS": len(c.RocketMQ.NameServers) > 0}
	if len(svc.Command) == 0 || !slices.Contains([]string{"api", "consumer", "migrate"}, svc.Command[0]) {
		return []string{fmt.Sprintf("%q is no command that a container runs", svc.Command)}
	}
	if svc.Command[0] != "migrate" {
		needs["SECKILL_REDIS_ADDRS"] = len(c.Redis.Addrs) > 0
		needs["SECKILL_MESSAGE_KEYS"] = len(c.Messages.Keys) > 0
	}
	if svc.Command[0] == "api" {
		needs["SECKILL_JWT_SECRETS"] = len(c.Auth.JWTSecrets) > 0
		needs["SECKILL_ID_KEYS"] = len(c.Auth.IDKeys) > 0
		needs["SECKILL_ADMIN_JWT_SECRETS"] = len(c.Admin.JWTSecrets) > 0 // else operators have no API
	}
	for name, has := range needs {
		if !has {
			found = append(found, name+" is not set")
		}
	}
	for _, secret := range c.Admin.JWTSecrets {
		for _, shoppers := range c.Auth.JWTSecrets {
			if bytes.Equal(secret, shoppers) {
				found = append(found, "operators' tokens are signed as shoppers' are: it does not start")
			}
		}
	}
	return found
}

// checkAddresses: each names a reachable service that listens there and is waited for.
func (s system) checkAddresses(svc types.ServiceConfig, c config.Config) (found []string) {
	dsn, err := mysql.ParseDSN(c.MySQL.DSN)
	if err != nil {
		return []string{err.Error()}
	}
	addrs := append([]string{dsn.Addr}, c.RocketMQ.NameServers...)
	for _, addr := range append(addrs, c.Redis.Addrs...) {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return append(found, err.Error())
		}
		server, ok := s.Services[host]
		if !ok {
			found = append(found, addr+" is no service")
			continue
		}
		if !slices.Contains(server.Expose, port) {
			found = append(found, fmt.Sprintf("%s: %s listens on %v", addr, host, server.Expose))
		}
		if !s.shareNetwork(svc, server) {
			found = append(found, addr+" is on another network")
		}
		// migrate has no use for Redis, and does not wait for it.
		if !s.waitsFor(svc, host) && svc.Command[0] != "migrate" {
			found = append(found, addr+" is not waited for")
		}
	}
	return found
}

func (s system) shareNetwork(a, b types.ServiceConfig) bool {
	for name := range a.Networks {
		if _, ok := b.Networks[name]; ok {
			return true
		}
	}
	return false
}

// waitsFor follows depends_on all the way.
func (s system) waitsFor(svc types.ServiceConfig, server string) bool {
	for _, name := range slices.Sorted(maps.Keys(svc.DependsOn)) {
		if name == server || s.waitsFor(s.Services[name], server) {
			return true
		}
	}
	return false
}

func TestComposeServicesFitEachOtherAndTheProgram(t *testing.T) {
	t.Parallel()
	s, err := load(t, composeFile(t))
	require.NoError(t, err)
	require.Empty(t, s.problems())
	for _, name := range []string{"api-1", "api-2", "consumer", "migrate"} {
		require.True(t, ours(s.Services[name]), name)
	}
	consumer := s.Services["consumer"]
	require.Equal(t, 2, consumer.GetScale())
	for _, name := range []string{"redis", "mysql", "namesrv", "broker"} {
		require.Empty(t, s.Services[name].Ports, "%s is not reachable from outside", name)
	}
}
