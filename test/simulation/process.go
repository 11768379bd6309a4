package simulation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// What a call says that went wrong. The program must not tell them apart.
var (
	errRefused = errors.New("simulated: refused")
	errLost    = errors.New("simulated: answer lost")
	errGone    = errors.New("simulated: the process is dead")
)

// process is one life of a process. A dead one has no effect on anything: its calls fail and its answers are dropped, until its goroutines notice and
// end.
type process struct {
	w       *system
	name    string
	handler http.Handler
	ready   func() bool

	ctx  context.Context // ends with the process
	kill context.CancelFunc

	mu   sync.Mutex
	wire *rand.Rand // how long calls take
	doom fault      // n is the calls left until it dies; 0 is never
}

func (p *process) gone() bool { return p.ctx.Err() != nil }

// die ends the process here and now.
func (p *process) die(why string) {
	if p.gone() {
		return
	}
	p.w.trace.notef(p.name, "DIES %s", why)
	p.w.crashes.Add(1)
	p.kill()
	p.w.redis.drop(p)
}

// killLater lets the process die at its n-th call of the fault's from now.
func (p *process) killLater(f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doom = f
}

// dies reports whether this is the call at which the process dies, and whether
// the call has its effect.
func (p *process) dies(what string) (now, after bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.doom.n == 0 || !strings.HasPrefix(what, p.doom.call) {
		return false, false
	}
	p.doom.n--
	return p.doom.n == 0, p.doom.after
}

// trouble is what goes wrong with a call.
type trouble struct {
	instant             bool // it takes no time, for it is made under a lock
	slow, late          time.Duration
	refused, lost, half bool
	gone                bool // send: not stored, and no answer
	held                time.Duration
	copies              int
}

// call is one call of the process to a server: it may die before or after the
// effect, the call may be slow, refused, or its answer lost.
func (p *process) call(ctx context.Context, t trouble, what string, effect func() error) error {
	if p.gone() {
		return errGone
	}
	if !t.instant && !p.w.plan.instant {
		there, back := p.latency()
		t.slow, t.late = t.slow+there, t.late+back
	}
	if err := p.wait(ctx, t.slow); err != nil {
		return err
	}
	now, after := p.dies(what)
	if now && !after {
		p.die("before " + what)
		return errGone
	}
	if t.refused {
		p.w.trace.notef(p.name, "%s refused", what)
		return errRefused
	}
	err := effect()
	if now {
		p.die("after " + what)
	}
	if err := p.wait(ctx, t.late); err != nil {
		return err
	}
	if p.gone() {
		return errGone
	}
	if t.lost {
		p.w.trace.notef(p.name, "%s: answer lost (%v)", what, err)
		return errLost
	}
	return err
}

// latency is how long a call is on its way there and back: up to 2 ms, and now
// and then ten times as long, so that what one process does comes between any
// two steps of another.
func (p *process) latency() (there, back time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	way := func() time.Duration {
		d := time.Duration(p.wire.Int64N(int64(2 * time.Millisecond)))
		if p.wire.IntN(20) == 0 {
			d *= 10
		}
		return d
	}
	return way(), way()
}

func (p *process) wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("simulated: %w", ctx.Err())
	case <-p.ctx.Done():
		return errGone
	}
}

// strikes reports whether a fault strikes this call of the process: it lasts,
// it is of this process, and the coin says so.
func (p *process) strikes(kind string) (fault, bool) {
	now := time.Since(p.w.trace.begin)
	for i, f := range p.w.plan.faults {
		if f.kind != kind || f.who != "" && f.who != p.name || now < f.at || now >= f.at+f.span || p.w.healed.Load() {
			continue
		}
		n := p.w.coins[i].Add(1)
		if rand.New(rand.NewPCG(p.w.plan.seed<<8|uint64(i), n)).Float64() < f.share {
			p.w.injected.Add(1)
			return f, true
		}
	}
	return fault{}, false
}

// coins count the calls that each fault was asked about.
type coins []atomic.Uint64
