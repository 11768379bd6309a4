package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// machine describes where the figures were measured.
type machine struct {
	CPU      string            `json:"cpu"`
	Cores    int               `json:"cores"`
	MemoryMB int64             `json:"memory_mb"`
	Kernel   string            `json:"kernel"`
	Go       string            `json:"go"`
	FsyncMS  float64           `json:"fsync_ms"` // median of 4 KiB appended and synced
	Modes    map[string]string `json:"modes"`    // how the servers write, how everything is scheduled
	GetPong  float64           `json:"wrk_ceiling_get"`
	PostPong float64           `json:"wrk_ceiling_purchases"`
	Foreign  float64           `json:"foreign_cores"` // median of the cores that others used
}

// describeMachine reads what /proc says and measures a sync.
func describeMachine(ctx context.Context, dir string, srv *servers) (machine, error) {
	m := machine{Cores: runtime.NumCPU(), Go: runtime.Version()}
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return m, err
	}
	cpus, err := fs.CPUInfo()
	memory, merr := fs.Meminfo()
	self, serr := processStat(os.Getpid())
	kernel, kerr := os.ReadFile("/proc/sys/kernel/osrelease")
	if err := errors.Join(err, merr, serr, kerr); err != nil {
		return m, err
	}
	m.CPU, m.MemoryMB, m.Kernel = cpus[0].ModelName, int64(*memory.MemTotal>>10), strings.TrimSpace(string(kernel))
	if m.FsyncMS, err = fsyncTime(dir); err != nil {
		return m, err
	}
	if m.Modes, err = srv.modes(ctx); err != nil {
		return m, err
	}
	m.Modes["scheduler"] = cmp.Or(map[uint]string{unix.SCHED_NORMAL: "SCHED_OTHER", unix.SCHED_BATCH: "SCHED_BATCH"}[self.Policy], fmt.Sprint("policy ", self.Policy))
	return m, nil
}

// fsyncTime is the least that a commit waits, in milliseconds.
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

func processStat(pid int) (procfs.ProcStat, error) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return procfs.ProcStat{}, err
	}
	return p.Stat()
}

// processCPU is the time that a process has run, in user and kernel mode.
func processCPU(pid int) (time.Duration, error) {
	s, err := processStat(pid)
	return seconds(s.CPUTime()), err
}

// machineCPU is the time that all cores have worked for processes, and that the
// hypervisor took from them. Interrupts are left out: they are charged to no
// process.
func machineCPU() (time.Duration, error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return 0, err
	}
	s, err := fs.Stat()
	all := s.CPUTotal
	return seconds(all.User + all.Nice + all.System + all.Steal), err
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

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

// Processes that are not being measured are frozen: an idle set of servers uses a
// tenth of a core. A frozen process keeps its state and continues where it stopped.

func (b *bench) freeze(pids []int) { b.signal(pids, syscall.SIGSTOP) }
func (b *bench) thaw(pids []int)   { b.signal(pids, syscall.SIGCONT) }

func (b *bench) signal(pids []int, s syscall.Signal) {
	ours, _ := b.procs.all()
	for _, pid := range pids {
		if _, ok := ours[pid]; !ok {
			continue // it has exited
		}
		if err := syscall.Kill(pid, s); err != nil {
			b.sayf("%v to %d: %v", s, pid, err)
		}
	}
}

// roles are the running processes of a system.
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

// others are the processes that only some rows need.
func (b *bench) others() []int {
	pids := append(b.fast.mysql8(), b.mysql8.roles()...)
	if b.strict != nil {
		pids = append(pids, b.strict.whole()...)
	}
	if b.traced != nil {
		pids = append(pids, b.traced.processes()...)
	}
	if b.withEvents != nil {
		pids = append(pids, b.withEvents.roles()...)
	}
	return pids
}

const mysql8 = "mysql8"

// whole is a system with its servers, except MySQL 8.0, which only runs for its own
// row.
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

// instead runs f while some processes run and others are frozen.
func (b *bench) instead(run, rest func() []int, f func() error) error {
	b.freeze(rest())
	b.thaw(run())
	defer func() {
		b.freeze(run())
		b.thaw(rest())
	}()
	return f()
}
