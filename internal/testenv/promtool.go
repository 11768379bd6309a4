package testenv

import (
	"os/exec"
	"testing"
)

// Promtool returns the path of Prometheus' promtool: the one installed, or the
// one that scripts/prometheus unpacked.
func Promtool(tb testing.TB) string {
	tb.Helper()
	if path, err := exec.LookPath("promtool"); err == nil {
		return path
	}
	path := upwards(tb, ".run/prometheus/usr/bin/promtool")
	if path == "" {
		missingf(tb, "no promtool: scripts/prometheus promtool --version fetches it")
	}
	return path
}
