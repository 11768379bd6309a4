package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
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

// tick is the unit of /proc: Linux reports hundredths of a second everywhere.
const tick = 10 * time.Millisecond

// processCPU is the time that a process has run, in user and kernel mode.
func processCPU(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name in brackets may hold anything; utime and stime are the 12th and
	// 13th field behind it.
	i := bytes.LastIndexByte(text, ')')
	f := strings.Fields(string(text[i+1:]))
	if i < 0 || len(f) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %q", pid, text)
	}
	var sum int64
	for _, s := range f[11:13] {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		sum += n
	}
	return time.Duration(sum) * tick, nil
}

// machineCPU is the time that all cores have worked for processes, and that the
// hypervisor took from them. Interrupts are left out: no process is charged
// with them.
func machineCPU() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	f := strings.Fields(line) // cpu user nice system idle iowait irq softirq steal
	if len(f) < 9 {
		return 0, fmt.Errorf("/proc/stat: %q", line)
	}
	var sum int64
	for _, i := range []int{1, 2, 3, 8} {
		n, err := strconv.ParseInt(f[i], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		sum += n
	}
	return time.Duration(sum) * tick, nil
}

// ownCPU is the time of this process and of its children that have ended.
func ownCPU() time.Duration {
	var sum time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) == nil {
			sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	return sum
}

// Who is not measured does not run: an idle set of servers takes a tenth of a
// core, which would be charged to whoever is measured. A process that is frozen
// keeps everything and goes on where it was.

func (b *bench) freeze(pids []int) { b.signal(pids, syscall.SIGSTOP) }
func (b *bench) thaw(pids []int)   { b.signal(pids, syscall.SIGCONT) }

func (b *bench) signal(pids []int, s syscall.Signal) {
	ours, _ := b.procs.all()
	for _, pid := range pids {
		if _, ok := ours[pid]; !ok {
			continue // it has ended
		}
		if err := syscall.Kill(pid, s); err != nil {
			b.sayf("%v to %d: %v", s, pid, err)
		}
	}
}

// roles are the processes of a system that run now.
func (s *system) roles() (pids []int) {
	if s == nil {
		return nil
	}
	for _, p := range []*process{s.api, s.consumer} {
		if p != nil {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

// others is everything that is measured for some rows only.
func (b *bench) others() []int {
	pids := append(b.fast.mysql8(), b.mysql8.roles()...)
	if b.strict != nil {
		pids = append(pids, b.strict.whole()...)
	}
	if b.traced != nil {
		pids = append(pids, b.traced.processes()...)
	}
	if b.telling != nil {
		pids = append(pids, b.telling.roles()...)
	}
	return pids
}

const mysql8 = "mysql8"

// whole is a system with its servers, but for MySQL 8.0, which runs for its own
// row only.
func (s *system) whole() []int {
	pids := s.roles()
	for name, pid := range s.srv.pids {
		if name != mysql8 {
			pids = append(pids, pid)
		}
	}
	return pids
}

func (s *system) mysql8() []int {
	if pid, ok := s.srv.pids[mysql8]; ok {
		return []int{pid}
	}
	return nil
}

// instead has some processes run in place of others while f does.
func (b *bench) instead(run, rest func() []int, f func() error) error {
	b.freeze(rest())
	b.thaw(run())
	defer func() {
		b.freeze(run())
		b.thaw(rest())
	}()
	return f()
}
