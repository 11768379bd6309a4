package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
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
