package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

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
