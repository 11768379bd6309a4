package cli

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/internal/config"
)

func TestNoSecretIsShown(t *testing.T) {
	t.Parallel()
	env := []string{}
	for _, s := range config.Settings() {
		if s.Secret {
			env = append(env, s.Env()+"=user:hunter2-"+strings.Repeat("x", 32)+"@tcp(db:3306)/seckill")
		}
	}
	for _, args := range [][]string{{"config"}, {"config", "--json"}, {"config", "--list"}} {
		_, stdout, stderr := command(t, env, args...)
		require.NotEmpty(t, stdout)
		require.NotContains(t, stdout+stderr, "hunter2", args)
	}
}

func TestABadTraceEndpointIsSaidAtTheStart(t *testing.T) {
	t.Parallel()
	for _, settings := range [][]string{
		{"SECKILL_TRACE_ENDPOINT=collector:4318"},
		{"SECKILL_TRACE_ENDPOINT=grpc://collector:4317"},
		{"SECKILL_TRACE_SAMPLE=2"},
		{"SECKILL_TRACE_SAMPLE=1%"},
	} {
		code, _, stderr := command(t, settings, "consumer")
		require.Equal(t, exitUsage, code)
		name, _, _ := strings.Cut(settings[0], "=")
		require.Contains(t, stderr, name)
	}
}
