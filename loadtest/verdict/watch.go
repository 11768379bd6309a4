package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"seckill/loadtest/scrape"
)

// sample has the metrics of all processes at one moment. A process that did not
// respond is missing.
type sample struct {
	UnixMS    int64            `json:"unix_ms"`
	Processes map[string]gauge `json:"processes"`
}

// gauge is one process at one moment; counters count from its start.
type gauge struct {
	RSS        float64 `json:"rss"` // bytes
	Goroutines float64 `json:"goroutines"`
	Requests   float64 `json:"requests"`
	Accepted   float64 `json:"accepted"`
	Refused    float64 `json:"refused"`
	Settled    float64 `json:"settled"`
}

// watchCommand is `verdict watch FILE NAME=ADDRESS…`: a line per second, until it gets a
// signal.
func watchCommand(args []string) error {
	if len(args) < 2 {
		return errors.New("usage: verdict watch FILE NAME=ADDRESS…")
	}
	out, err := os.OpenFile(args[0], os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	addrs := map[string]string{}
	for _, a := range args[1:] {
		name, addr, ok := strings.Cut(a, "=")
		if !ok {
			return fmt.Errorf("want NAME=ADDRESS, got %q", a)
		}
		addrs[name] = addr
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return watch(ctx, out, addrs, time.Second)
}

func watch(ctx context.Context, out io.Writer, addrs map[string]string, every time.Duration) error {
	t := time.NewTicker(every)
	defer t.Stop()
	enc := json.NewEncoder(out)
	for {
		if err := enc.Encode(measure(ctx, addrs)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

func measure(ctx context.Context, addrs map[string]string) sample {
	s := sample{UnixMS: time.Now().UnixMilli(), Processes: map[string]gauge{}}
	for name, addr := range addrs {
		text, err := scrape.Get(ctx, "http://"+addr+"/metrics")
		if err != nil {
			continue
		}
		s.Processes[name] = gauge{
			RSS: scrape.Sum(text, "process_resident_memory_bytes"), Goroutines: scrape.Sum(text, "go_goroutines"),
			Requests: scrape.Sum(text, "seckill_http_requests_total"), Accepted: scrape.Sum(text, "seckill_orders_accepted_total"),
			Refused: scrape.Sum(text, "seckill_orders_refused_total"), Settled: scrape.Sum(text, "seckill_orders_settled_total"),
		}
	}
	return s
}

func readSamples(path string) (ss []sample, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var s sample
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		ss = append(ss, s)
	}
	if len(ss) < 2 {
		return nil, fmt.Errorf("%s: %d samples", path, len(ss))
	}
	return ss, nil
}
