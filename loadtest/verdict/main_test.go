package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	goodSummary = `{"metrics":{"accepted":{"values":{"count":50,"rate":5}},"confirmed":{"values":{"count":50}},"accepted_latency":{"values":{"med":3,"p(95)":1234}}}}`
	goodAudit   = `{"ok":true,"sales":[{"id":"7","total":50,"available":0,"live_units":50,"confirmed":50,"rejected":0,"pending":0,"discrepancies":[]}]}`
)

func judge(t *testing.T, summary, audit string) (broken bool, out string, err error) {
	t.Helper()
	dir := t.TempDir()
	s, a := filepath.Join(dir, "summary.json"), filepath.Join(dir, "audit.json")
	require.NoError(t, os.WriteFile(s, []byte(summary), 0o600))
	require.NoError(t, os.WriteFile(a, []byte(audit), 0o600))
	var b bytes.Buffer
	broken, err = run(files{summary: s, audit: a}, &b)
	return broken, b.String(), err
}

func TestACleanRunKeepsEveryPromise(t *testing.T) {
	t.Parallel()
	broken, out, err := judge(t, goodSummary, goodAudit)
	require.NoError(t, err)
	require.False(t, broken, out)
}

func TestEachBrokenPromiseFailsTheRun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ in, from, to, line string }{
		"one oversold":               {"audit", `"confirmed":50`, `"confirmed":51`, "confirmed = min(stock, accepted)"},
		"one lost":                   {"audit", `"confirmed":50`, `"confirmed":49`, "confirmed = min(stock, accepted)"},
		"accepted, not sold":         {"summary", `"values":{"count":50,"rate":5}`, `"values":{"count":49,"rate":5}`, "confirmed = min(stock, accepted)"},
		"shoppers saw another count": {"summary", `"confirmed":{"values":{"count":50`, `"confirmed":{"values":{"count":48`, "results shown = results kept"},
		"one pending":                {"audit", `"pending":0`, `"pending":1`, "nothing is pending"},
		"a unit leaked":              {"audit", `"live_units":50`, `"live_units":49`, "no unit lost or invented"},
		"stores disagree":            {"audit", `[]`, `[{"kind":"not_in_redis","order_id":"1","detail":"live, unknown to Redis"}]`, "not_in_redis 1 live"},
		"audit says no":              {"audit", `"ok":true`, `"ok":false`, "the audit is clean"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			summary, audit := goodSummary, goodAudit
			if c.in == "audit" {
				audit = strings.Replace(audit, c.from, c.to, 1)
			} else {
				summary = strings.Replace(summary, c.from, c.to, 1)
			}
			broken, out, err := judge(t, summary, audit)
			require.NoError(t, err)
			require.True(t, broken)
			require.Regexp(t, `(?m)BROKEN.*`, out)
			require.Contains(t, out, c.line)
		})
	}
}

func TestResultsThatCannotBeReadAreNoVerdict(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{{"", goodAudit}, {goodSummary, "{"}, {goodSummary, `{"ok":true,"sales":[]}`}, {"{}", goodAudit}} {
		_, _, err := judge(t, c[0], c[1])
		require.Error(t, err, "%q", c)
	}
}
