package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// load is a run of 30 s: 5 s idle, 20 s of load, 5 s idle. change may alter each
// second.
func load(change func(second int, g *gauge)) (ss []sample) {
	var requests float64
	for second := range 30 {
		g := gauge{RSS: 100 << 20, Goroutines: 30, Requests: requests}
		if second >= 5 && second < 25 {
			requests += 1000
			g.Goroutines = 400
		}
		change(second, &g)
		ss = append(ss, sample{UnixMS: int64(second) * 1000, Processes: map[string]gauge{"api-1": g}})
	}
	return ss
}

func TestARunThatGrowsIsNoticed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(second int, g *gauge)
		broken string
	}{
		"flat":               {func(int, *gauge) {}, ""},
		"warming up":         {func(s int, g *gauge) { g.RSS = float64(min(s, 10) * 20 << 20) }, ""},
		"memory leaks":       {func(s int, g *gauge) { g.RSS += float64(s * 10 << 20) }, "memory of api-1"},
		"goroutines leak":    {func(s int, g *gauge) { g.Goroutines += float64(s) * 50 }, "goroutines of api-1"},
		"goroutines stay":    {func(s int, g *gauge) { g.Goroutines += float64(min(s, 6)) * 10 }, "goroutines of api-1"},
		"a burst in the end": {func(s int, g *gauge) { g.Requests += max(0, float64(s)-26) * 50_000 }, ""},
		"it was hardly used": {func(s int, g *gauge) { g.Requests = min(float64(s), 3) }, "memory and goroutines are flat"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var broken []string
			for _, p := range growth(load(c.change)) {
				if !p.kept {
					broken = append(broken, p.name)
				}
			}
			require.Equal(t, c.broken, strings.Join(broken, ", "))
		})
	}
}

func TestAProcessThatDiedIsNotFlat(t *testing.T) {
	t.Parallel()
	ss := load(func(int, *gauge) {})
	ss[len(ss)-1].Processes = map[string]gauge{}
	broken := 0
	for _, p := range growth(ss) {
		if !p.kept {
			broken++
		}
	}
	require.Positive(t, broken)
}

func TestWhatIsWatchedIsRead(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("# HELP go_goroutines x\ngo_goroutines 12\nprocess_resident_memory_bytes 1.5e+07\n" +
			`seckill_http_requests_total{code="202",route="a"} 3` + "\n" + `seckill_http_requests_total{code="409",route="a b"} 4` + "\nseckill_orders_accepted_total 3\nseckill_orders_accepted_totally 9\n"))
	}))
	defer srv.Close()
	ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	var out bytes.Buffer
	require.NoError(t, watch(ctx, &out, map[string]string{"api-1": srv.Listener.Addr().String(), "gone": "127.0.0.1:1"}, 20*time.Millisecond))
	path := filepath.Join(t.TempDir(), "samples")
	require.NoError(t, os.WriteFile(path, out.Bytes(), 0o600))
	ss, err := readSamples(path)
	require.NoError(t, err)
	require.Equal(t, map[string]gauge{"api-1": {RSS: 1.5e7, Goroutines: 12, Requests: 7, Accepted: 3}}, ss[0].Processes)
}
