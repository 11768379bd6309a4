package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"seckill/loadtest/scrape"

	"golang.org/x/sync/errgroup"
)

// metric reads a metric of a process, see scrape.Sum.
func metric(ctx context.Context, admin, prefix string) (float64, error) {
	text, err := scrape.Get(ctx, "http://"+admin+"/metrics")
	return scrape.Sum(text, prefix), err
}

// Replays are not counted as accepted.
const (
	acceptedTotal = "seckill_orders_accepted_total"
	soldOutTotal  = `seckill_orders_refused_total{reason="sold-out"}`
	refusedTotal  = "seckill_orders_refused_total"
	settledTotal  = "seckill_orders_settled_total"
	serverErrors  = `seckill_http_requests_total{code="5`
	inflight      = "seckill_http_inflight_requests"
)

// profile takes CPU and allocation profiles of a system in the first round, if they
// are asked for. They make that round a little slower.
func (b *bench) profile(ctx context.Context, round int, name string, s *system) error {
	if b.profiles == "" || round > 0 {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return b.profileRole(ctx, name+"-api", s.apiAdmin) })
	if s.consumer != nil {
		g.Go(func() error { return b.profileRole(ctx, name+"-consumer", s.consumerAdmin) })
	}
	return g.Wait()
}

// profiler is profile for a target.
func (b *bench) profiler(round int, name string, s *system) func(context.Context) error {
	return func(ctx context.Context) error { return b.profile(ctx, round, name, s) }
}

// longestProfile is less than the timeout of get.
const longestProfile = 8 * time.Second

func (b *bench) profileRole(ctx context.Context, name, admin string) error {
	d := min(2*b.seconds, longestProfile) // pong's turns lie between ours
	for kind, query := range map[string]string{"cpu": fmt.Sprintf("profile?seconds=%.0f", d.Seconds()), "allocs": "allocs"} {
		text, err := scrape.Get(ctx, "http://"+admin+"/debug/pprof/"+query)
		if err != nil {
			return fmt.Errorf("profile: %w", err)
		}
		if err := os.WriteFile(filepath.Join(b.profiles, name+"."+kind+".pprof"), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// allocations are those of a request in the API.
type allocations struct {
	Accepted int `json:"per_accepted_request"`
	SoldOut  int `json:"per_sold_out_refusal"`
}

var allocsRE = regexp.MustCompile(`(?m)^Benchmark(\w+?)(?:-\d+)?\s.*\s(\d+) allocs/op`)

// allocating runs the API's benchmarks.
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
