package main

import "syscall"

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
