package simulation

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// node is Redis: miniredis, reached through memory.
type node struct {
	mini *miniredis.Miniredis

	mu    sync.Mutex
	conns map[*conn]*process
	ahead time.Duration // of its clock
}

func newNode() (*node, error) {
	n := &node{mini: miniredis.NewMiniRedis(), conns: map[*conn]*process{}}
	first, err := n.mini.Dial() // starts it without a listener
	if err != nil {
		return nil, err
	}
	n.mini.ClockTTL(true)
	return n, first.Close()
}

// dial connects a process.
func (n *node) dial(p *process) (net.Conn, error) {
	if p.gone() {
		return nil, errGone
	}
	up, down := newStream(), newStream()
	c := &conn{r: down, w: up, closed: n.forget}
	n.mu.Lock()
	n.conns[c] = p
	n.mu.Unlock()
	n.mini.Server().ServeConn(&conn{r: up, w: down})
	return c, nil
}

func (n *node) forget(c *conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, c)
}

// drop closes the connections of a process, or with nil all.
func (n *node) drop(p *process) {
	n.mu.Lock()
	var cs []*conn
	for c, of := range n.conns {
		if p == nil || p == of {
			cs = append(cs, c)
		}
	}
	n.mu.Unlock()
	for _, c := range cs {
		_ = c.Close()
	}
}

// setClock puts the clock ahead.
func (n *node) setClock(ahead time.Duration) {
	n.mu.Lock()
	n.ahead = ahead
	n.mu.Unlock()
	n.tick()
	if ahead == 0 {
		n.mini.SetTime(time.Time{}) // the bubble's own again
	}
}

// tick lets a clock that is ahead go on.
func (n *node) tick() {
	n.mu.Lock()
	ahead := n.ahead
	n.mu.Unlock()
	if ahead != 0 {
		n.mini.SetTime(time.Now().Add(ahead))
	}
}

// content is all that Redis holds. What expires is left out.
type content struct {
	hashes map[string]map[string]string
	lists  map[string][]string
}

// content and restore must run alone.
func (n *node) content() (content, error) {
	c := content{map[string]map[string]string{}, map[string][]string{}}
	for _, key := range n.mini.Keys() {
		switch n.mini.Type(key) {
		case "hash":
			fields, err := n.mini.HKeys(key)
			if err != nil {
				return c, err
			}
			c.hashes[key] = map[string]string{}
			for _, f := range fields {
				c.hashes[key][f] = n.mini.HGet(key, f)
			}
		case "list":
			items, err := n.mini.List(key)
			if err != nil {
				return c, err
			}
			c.lists[key] = items
		}
	}
	return c, nil
}

func (n *node) restore(c content) error {
	n.mini.FlushAll()
	for key, fields := range c.hashes {
		for f, v := range fields {
			n.mini.HSet(key, f, v)
		}
	}
	for key, items := range c.lists {
		if _, err := n.mini.Push(key, items...); err != nil {
			return err
		}
	}
	return nil
}

// hook strikes the calls of a process's client.
type hook struct{ p *process }

func (h hook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		t := h.trouble(script(cmd))
		if t.half {
			t.lost = true
		}
		err := h.p.call(ctx, t, "redis "+cmd.Name(), func() error { h.p.w.redis.tick(); return next(ctx, cmd) })
		if err != nil {
			cmd.SetErr(err)
		}
		return err
	}
}

func (h hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		t := h.trouble(script(cmds[0]))
		done := cmds
		if t.half {
			done = cmds[:len(cmds)/2]
		}
		err := h.p.call(ctx, t, fmt.Sprintf("redis %s x%d", cmds[0].Name(), len(cmds)), func() error {
			h.p.w.redis.tick()
			if len(done) == 0 {
				return nil
			}
			return next(ctx, done)
		})
		if err == nil && t.half {
			err = errLost
		}
		if lost(err) {
			for _, c := range cmds {
				c.SetErr(err)
			}
		}
		for _, c := range cmds[len(done):] {
			c.SetErr(errLost)
		}
		return err
	}
}

// lost reports whether err is none that Redis gave.
func lost(err error) bool {
	return err != nil && strings.HasPrefix(err.Error(), "simulated: ")
}

// script: only these may take their time. Others are made under locks, and who
// waits for a lock in a bubble stops its clock.
func script(c redis.Cmder) bool { return strings.HasPrefix(c.Name(), "eval") }

func (h hook) trouble(mayWait bool) (t trouble) {
	t.instant = !mayWait
	_, t.refused = h.p.strikes(redisRefused)
	_, t.lost = h.p.strikes(redisLost)
	_, t.half = h.p.strikes(redisHalf)
	if f, slow := h.p.strikes(redisSlow); slow && mayWait {
		t.slow = f.delay
		if f.after {
			t.slow, t.late = 0, f.delay
		}
	}
	return t
}

// conn is one end of a connection through memory. Writing never waits, as on
// a socket with room in its buffers; deadlines are not kept, for the server
// always answers.
type conn struct {
	r, w   *stream
	closed func(*conn)
}

func (c *conn) Read(b []byte) (int, error)  { return c.r.read(b) }
func (c *conn) Write(b []byte) (int, error) { return c.w.write(b) }

func (c *conn) Close() error {
	c.r.close()
	c.w.close()
	if c.closed != nil {
		c.closed(c)
	}
	return nil
}

func (*conn) LocalAddr() net.Addr              { return &net.UnixAddr{Name: "memory", Net: "unix"} }
func (*conn) RemoteAddr() net.Addr             { return &net.UnixAddr{Name: "memory", Net: "unix"} }
func (*conn) SetDeadline(time.Time) error      { return nil }
func (*conn) SetReadDeadline(time.Time) error  { return nil }
func (*conn) SetWriteDeadline(time.Time) error { return nil }

// stream is one direction.
type stream struct {
	mu   sync.Mutex
	more *sync.Cond
	buf  []byte
	shut bool
}

func newStream() *stream {
	s := &stream{}
	s.more = sync.NewCond(&s.mu)
	return s
}

func (s *stream) write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return 0, io.ErrClosedPipe
	}
	s.buf = append(s.buf, b...)
	s.more.Signal()
	return len(b), nil
}

func (s *stream) read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.buf) == 0 && !s.shut {
		s.more.Wait()
	}
	if len(s.buf) == 0 {
		return 0, io.EOF
	}
	n := copy(b, s.buf)
	s.buf = s.buf[n:]
	return n, nil
}

func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
	s.more.Broadcast()
}
