package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// machine says where the figures come from.
type machine struct {
	CPU      string            `json:"cpu"`
	Cores    int               `json:"cores"`
	MemoryMB int64             `json:"memory_mb"`
	Kernel   string            `json:"kernel"`
	Go       string            `json:"go"`
	FsyncMS  float64           `json:"fsync_ms"` // median of 4 KiB appended and synced
	Modes    map[string]string `json:"modes"`    // how the servers write, how all are scheduled
	GetPong  float64           `json:"wrk_ceiling_get"`
	PostPong float64           `json:"wrk_ceiling_purchases"`
	Foreign  float64           `json:"foreign_cores"` // median of what others used
}

func lookAtMachine(ctx context.Context, dir string, srv *servers) (machine, error) {
	m := machine{Cores: runtime.NumCPU(), Go: runtime.Version(), CPU: field("/proc/cpuinfo", "model name")}
	var mem int64
	_, _ = fmt.Sscan(field("/proc/meminfo", "MemTotal"), &mem) // in KiB; 0 when not said
	m.MemoryMB = mem >> 10
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(text))
	}
	var err error
	if m.FsyncMS, err = fsyncTime(dir); err != nil {
		return m, err
	}
	if m.Modes, err = srv.modes(ctx); err != nil {
		return m, err
	}
	m.Modes["scheduler"] = scheduler()
	return m, nil
}

// scheduler is the policy under which this process and all that it starts run.
func scheduler() string {
	policy := field("/proc/self/sched", "policy")
	if name, ok := map[string]string{"0": "SCHED_OTHER", "3": "SCHED_BATCH"}[policy]; ok {
		return name
	}
	return "policy " + policy
}

// field reads a line `name : value` of /proc.
func field(path, name string) string {
	text, _ := os.ReadFile(path)
	for line := range strings.SplitSeq(string(text), "\n") {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// fsyncTime is what a commit waits for at least, in milliseconds.
func fsyncTime(dir string) (float64, error) {
	f, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	page := make([]byte, 4<<10)
	took := make([]time.Duration, 200)
	for i := range took {
		if _, err := f.Write(page); err != nil {
			return 0, err
		}
		began := time.Now()
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return 0, fmt.Errorf("fdatasync: %w", err)
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return float64(took[len(took)/2].Microseconds()) / 1000, nil
}
