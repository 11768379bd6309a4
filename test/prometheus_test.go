//go:build e2e

package test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// monitor is a real Prometheus on deploy/prometheus, of which only targets and
// paces are others.
type monitor struct{ url string }

func startMonitor(t *testing.T, s *shop) monitor {
	t.Helper()
	script(t, nil, "prometheus", "prometheus", "--version")
	dir := t.TempDir()
	conf := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, os.WriteFile(conf, []byte(monitorConf(t, s)), 0o600))
	addr := freeAddr(t)
	cmd := exec.Command("../scripts/prometheus", "prometheus", "--config.file="+conf, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+addr, "--enable-feature=exemplar-storage")
	background(t, cmd, "http://"+addr+"/-/ready")
	return monitor{"http://" + addr}
}

func monitorConf(t *testing.T, s *shop) string {
	t.Helper()
	text, err := os.ReadFile("../deploy/prometheus/prometheus.yml")
	require.NoError(t, err)
	rules, err := filepath.Abs("../deploy/prometheus")
	require.NoError(t, err)
	targets := func(ps []*process) string {
		var addrs []string
		for _, p := range ps {
			addrs = append(addrs, strconv.Quote(p.adminAddr()))
		}
		return "[" + strings.Join(addrs, ", ") + "]"
	}
	conf := string(text)
	for _, c := range [][2]string{
		{`["api-1:8081", "api-2:8081"]`, targets(s.apis)},
		{"dns_sd_configs", "static_configs"},
		{"{names: [consumer], type: A, port: 8081, refresh_interval: 5s}", "{targets: " + targets(s.consumers) + "}"},
		{"[recording.yml, alerts.yml]", fmt.Sprintf("[%q, %q]", rules+"/recording.yml", rules+"/alerts.yml")},
		{"scrape_interval: 5s", "scrape_interval: 1s"},
		{"scrape_timeout: 4s", "scrape_timeout: 1s"},
		{"evaluation_interval: 5s", "evaluation_interval: 1s"},
	} {
		require.Contains(t, conf, c[0])
		conf = strings.Replace(conf, c[0], c[1], 1)
	}
	return conf
}

// get fills in what the API answers under "data".
func (m monitor) get(t *testing.T, path string, query url.Values, data any) {
	t.Helper()
	res, err := get(m.url + "/api/v1/" + path + "?" + query.Encode())
	require.NoError(t, err)
	answer := struct {
		Status string `json:"status"`
		Error  string `json:"error"`
		Data   any    `json:"data"`
	}{Data: data}
	require.NoError(t, json.Unmarshal([]byte(res.text), &answer))
	require.Equal(t, "success", answer.Status, "%v: %s", query, answer.Error)
}

// sample is one value of a vector.
type sample struct {
	labels map[string]string
	value  float64
}

// ask returns what a query comes to now, without what is not a number.
func (m monitor) ask(t *testing.T, query string) (found []sample) {
	t.Helper()
	var data struct {
		Result []struct {
			Metric map[string]string
			Value  [2]any
		}
	}
	m.get(t, "query", url.Values{"query": {query}}, &data)
	for _, r := range data.Result {
		text, _ := r.Value[1].(string)
		v, err := strconv.ParseFloat(text, 64)
		require.NoError(t, err, query)
		if !math.IsNaN(v) {
			found = append(found, sample{r.Metric, v})
		}
	}
	return found
}

// one is ask for a query with one value; NaN when it has none or several.
func (m monitor) one(t *testing.T, query string) float64 {
	t.Helper()
	if found := m.ask(t, query); len(found) == 1 {
		return found[0].value
	}
	return math.NaN()
}

// states returns the state of each alarm; a rule that cannot be evaluated fails
// the test.
func (m monitor) states(t *testing.T) map[string]string {
	t.Helper()
	var data struct {
		Groups []struct {
			Rules []struct{ Name, Type, State, Health, LastError string }
		}
	}
	m.get(t, "rules", nil, &data)
	states := map[string]string{}
	for _, g := range data.Groups {
		for _, r := range g.Rules {
			require.Equal(t, "ok", r.Health, "%s: %s", r.Name, r.LastError)
			if r.Type == "alerting" {
				states[r.Name] = r.State
			}
		}
	}
	return states
}
