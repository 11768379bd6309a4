package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// get reads a page of one of our own processes.
func get(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, resp.Status, text)
	}
	return string(text), err
}

// metric adds up the samples of /metrics with one of the names, or whose line
// begins so when it goes into the labels; what never happened is not there.
func metric(ctx context.Context, admin string, prefixes ...string) (float64, error) {
	text, err := get(ctx, "http://"+admin+"/metrics")
	if err != nil {
		return 0, err
	}
	return sumOf(text, prefixes...), nil
}

func sumOf(text string, prefixes ...string) (sum float64) {
	for line := range strings.SplitSeq(text, "\n") {
		for _, p := range prefixes {
			if rest, ok := strings.CutPrefix(line, p); ok && (strings.Contains(p, "{") || strings.IndexAny(rest, " {") == 0) {
				n, _ := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
				sum += n
			}
		}
	}
	return sum
}

// The counters that are read. Replays are not among the accepted.
const (
	acceptedTotal = "seckill_orders_accepted_total"
	soldOutTotal  = `seckill_orders_refused_total{reason="sold-out"}`
	refusedTotal  = "seckill_orders_refused_total"
	settledTotal  = "seckill_orders_settled_total"
	serverErrors  = `seckill_http_requests_total{code="5`
	inflight      = "seckill_http_inflight_requests"
)

// profiled takes CPU and allocation profiles of a target in the first round,
// when they are asked for. That round is a little slower for it.
func (b *bench) profiled(round int, name string, s *system, t target) target {
	if b.profiles == "" || round > 0 {
		return t
	}
	t.profile = func(ctx context.Context) error {
		admins := map[string]string{"api": s.apiAdmin}
		if s.consumer != nil { // by now
			admins["consumer"] = s.consumerAdmin
		}
		var wg sync.WaitGroup
		errs := make(chan error, len(admins))
		for role, admin := range admins {
			wg.Go(func() { errs <- b.profile(ctx, name+"-"+role, admin) })
		}
		wg.Wait()
		close(errs)
		var all error
		for err := range errs {
			all = errors.Join(all, err)
		}
		return all
	}
	return t
}

// longestProfile is less than get waits for.
const longestProfile = 8 * time.Second

func (b *bench) profile(ctx context.Context, name, admin string) error {
	d := min(2*b.seconds, longestProfile) // turns of pong's lie between ours
	for kind, query := range map[string]string{"cpu": fmt.Sprintf("profile?seconds=%.0f", d.Seconds()), "allocs": "allocs"} {
		text, err := get(ctx, "http://"+admin+"/debug/pprof/"+query)
		if err != nil {
			return fmt.Errorf("profile: %w", err)
		}
		if err := os.WriteFile(filepath.Join(b.profiles, name+"."+kind+".pprof"), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// allocations are those of a request in the API, by its Go benchmarks.
type allocations struct {
	Accepted int `json:"per_accepted_request"`
	SoldOut  int `json:"per_sold_out_refusal"`
}

var allocsRE = regexp.MustCompile(`(?m)^Benchmark(\w+?)(?:-\d+)?\s.*\s(\d+) allocs/op`)

// allocating runs those benchmarks.
func (b *bench) allocating(ctx context.Context) (*allocations, error) {
	c := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^Benchmark(SoldOut|Accepted)$", "-benchmem", "-benchtime", "20000x", "./api")
	c.Dir = b.root
	out, err := c.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go test -bench: %w: %s", err, out)
	}
	found := map[string]int{}
	for _, m := range allocsRE.FindAllSubmatch(out, -1) {
		if found[string(m[1])], err = strconv.Atoi(string(m[2])); err != nil {
			return nil, err
		}
	}
	if len(found) != 2 {
		return nil, fmt.Errorf("go test -bench: want two benchmarks: %s", out)
	}
	return &allocations{Accepted: found["Accepted"], SoldOut: found["SoldOut"]}, nil
}
