package fleet_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"seckill/fleet"
	"seckill/internal/testenv"
	"seckill/order"
)

// limitStore has the limits, like MySQL.
type limitStore struct {
	mu     sync.Mutex
	limits order.Limits
	away   atomic.Bool
	reads  atomic.Int64
}

func (m *limitStore) read(context.Context) (order.Limits, error) {
	m.reads.Add(1)
	if m.away.Load() {
		return order.Limits{}, errors.New("mysql is away")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.limits, nil
}

func (m *limitStore) set(generation uint64, workers string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.limits = order.Limits{Generation: generation, Values: map[string]json.Number{"consumer_workers": json.Number(workers)}}
}

// process is a running member of a fleet.
type process struct {
	t      *testing.T
	reg    *prometheus.Registry
	totals func() fleet.Totals
	stop   func()

	mu      sync.Mutex
	applied []inForce
}

// inForce are the arguments of a call of Apply.
type inForce struct {
	generation uint64
	workers    json.Number
	apis       int
}

// join starts a process. It leaves at stop or at the end of the test.
func join(t *testing.T, f *fleet.Fleet, m *limitStore, role string) *process {
	t.Helper()
	p := &process{t: t, reg: prometheus.NewRegistry()}
	member := fleet.NewMember(fleet.Options{
		Fleet: f, Limits: m.read, Metrics: p.reg, Log: slog.New(slog.DiscardHandler),
		Self: fleet.Instance{Role: role, Version: "1.2.3", Host: "host-1", PID: 7, AdminListen: "host-1:8081"},
		Look: func(self *fleet.Instance) fleet.Totals {
			if self.Role == fleet.RoleAPI {
				self.Listen, self.Worker = "host-1:8080", 5
			}
			if p.totals == nil {
				return fleet.Totals{}
			}
			return p.totals()
		},
		Apply: func(l order.Limits, apis int) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			workers := l.Values["consumer_workers"]
			p.applied = append(p.applied, inForce{l.Generation, workers, apis})
			if len(workers) > 1 {
				return fmt.Errorf("consumer_workers: %s:\n\x1b[2J too many", workers)
			}
			return nil
		},
	})
	p.stop = testenv.Start(t, member.Run)
	return p
}

// all are all limits that were in force, in order.
func (p *process) all() []inForce {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]inForce(nil), p.applied...)
}

// now are the limits in force; the zero value stands for the configured ones.
func (p *process) now() inForce {
	all := p.all()
	if len(all) == 0 {
		return inForce{}
	}
	return all[len(all)-1]
}

func (p *process) gauge(name string) float64 {
	p.t.Helper()
	fs, err := p.reg.Gather()
	require.NoError(p.t, err)
	for _, f := range fs {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	p.t.Fatal("no metric ", name)
	return 0
}

func instances(t *testing.T, f *fleet.Fleet) []fleet.Instance {
	t.Helper()
	is, err := f.Instances(t.Context())
	require.NoError(t, err)
	return is
}

// roles are the roles of the live processes.
func roles(t *testing.T, f *fleet.Fleet) (rs []string) {
	t.Helper()
	for _, i := range instances(t, f) {
		rs = append(rs, i.Role)
	}
	return rs
}

func refused(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("redis is away")
}

// nowhere is a Redis that does not respond.
func nowhere(t *testing.T) redis.UniversalClient {
	t.Helper()
	rdb := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{"127.0.0.1:1"}, MaxRetries: -1, DialerRetries: 1, Dialer: refused})
	t.Cleanup(func() {
		_ = rdb.Close()
		time.Sleep(2 * time.Second) // in a bubble: until its background goroutines end
	})
	return rdb
}
