package rocketmq

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // RocketMQ's ACL requires it
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// callTimeout bounds one request; the caller's deadline may be earlier.
const callTimeout = 2 * time.Second

// maxAnswer bounds the memory of one response.
const maxAnswer = 16 << 20

// caller makes single requests in the remoting protocol that the client does not have,
// or whose response code it does not return. It keeps one connection per address. Safe
// for concurrent use.
type caller struct {
	accessKey, secretKey string
	dial                 func(ctx context.Context, addr string) (net.Conn, error)
	// lost is called when an established connection broke; may be nil.
	lost func(addr string)

	mu    sync.Mutex
	wires map[string]*wire
}

func newCaller(o Options) *caller {
	return &caller{accessKey: o.AccessKey, secretKey: o.SecretKey, dial: o.dial, wires: make(map[string]*wire)}
}

// wire is the connection to one address. The caller must hold lock to use it.
type wire struct {
	lock chan struct{}
	conn net.Conn // nil: not connected
	r    *bufio.Reader
	seq  int32
}

// answer is a server's response; code 0 is success.
type answer struct {
	code   int
	remark string
	ext    map[string]string
	body   []byte
}

// answerError is the error of a response other than success.
type answerError struct {
	code   int
	remark string
}

func (e *answerError) Error() string {
	return fmt.Sprintf("rocketmq: answer %d: %s", e.code, e.remark)
}

// call makes one request and returns a successful response. It repeats the request if
// the connection was broken, so the request must be harmless to repeat. The error is an
// *answerError if the server responded.
func (c *caller) call(ctx context.Context, addr string, code int, ext map[string]string) (answer, error) {
	return c.callWith(ctx, addr, code, ext, nil)
}

// callWith is call for a request with a body.
func (c *caller) callWith(ctx context.Context, addr string, code int, ext map[string]string, body []byte) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	w := c.wire(addr)
	select {
	case w.lock <- struct{}{}:
		defer func() { <-w.lock }()
	case <-ctx.Done():
		return answer{}, fmt.Errorf("ask %s: %w", addr, ctx.Err())
	}
	kept := w.conn != nil
	a, err := c.exchange(ctx, w, addr, code, ext, body)
	if err != nil && kept && !timedOut(err) {
		if c.lost != nil {
			c.lost(addr)
		}
		a, err = c.exchange(ctx, w, addr, code, ext, body)
	}
	switch {
	case err != nil:
		return answer{}, fmt.Errorf("ask %s: %w", addr, err)
	case a.code != 0:
		return a, fmt.Errorf("ask %s: %w", addr, &answerError{a.code, a.remark})
	}
	return a, nil
}

func timedOut(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// answered reports whether err is a server's response with this code.
func answered(err error, code int) bool {
	e, ok := errors.AsType[*answerError](err)
	return ok && e.code == code
}

func (c *caller) wire(addr string) *wire {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.wires[addr]
	if w == nil {
		w = &wire{lock: make(chan struct{}, 1)}
		c.wires[addr] = w
	}
	return w
}

// close closes every connection; a later call connects again.
func (c *caller) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.wires {
		w.lock <- struct{}{} // at most callTimeout
		w.drop()
		<-w.lock
	}
}

func (w *wire) drop() {
	if w.conn != nil {
		_ = w.conn.Close() // it is broken
		w.conn = nil
	}
}

// exchange sends one request over w and reads its response. After an error it closes the
// connection.
func (c *caller) exchange(ctx context.Context, w *wire, addr string, code int, ext map[string]string, body []byte) (_ answer, err error) {
	if w.conn == nil {
		if w.conn, err = c.dial(ctx, addr); err != nil {
			w.conn = nil
			return answer{}, err
		}
		w.r = bufio.NewReader(w.conn)
	}
	conn := w.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() || err != nil {
			w.drop()
		}
	}()
	w.seq++
	frame, err := c.frame(code, w.seq, ext, body)
	if err != nil {
		return answer{}, err
	}
	if _, err := conn.Write(frame); err != nil {
		return answer{}, err
	}
	for {
		a, seq, err := readAnswer(w.r)
		if err != nil || seq == w.seq {
			return a, err
		}
	}
}

// header is the JSON part of a frame.
type header struct {
	Code     int               `json:"code"`
	Flag     int               `json:"flag"`
	Language string            `json:"language"`
	Opaque   int32             `json:"opaque"`
	Version  int               `json:"version"`
	Remark   string            `json:"remark,omitempty"`
	Ext      map[string]string `json:"extFields,omitempty"`
}

// frame returns length, header length, header, body.
func (c *caller) frame(code int, seq int32, ext map[string]string, body []byte) ([]byte, error) {
	h, err := json.Marshal(header{Code: code, Language: "OTHER", Opaque: seq, Version: 399, Ext: c.sign(ext, body)})
	if err != nil {
		return nil, err
	}
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 8+len(h)+len(body)), uint32(4+len(h)+len(body)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(h)))
	return append(append(b, h...), body...), nil
}

// sign adds the fields of RocketMQ's ACL: HMAC-SHA1 over the values in the order of their
// names, and the body.
func (c *caller) sign(ext map[string]string, body []byte) map[string]string {
	if c.accessKey == "" {
		return ext
	}
	signed := make(map[string]string, len(ext)+2)
	maps.Copy(signed, ext)
	signed["AccessKey"] = c.accessKey
	mac := hmac.New(sha1.New, []byte(c.secretKey))
	for _, name := range slices.Sorted(maps.Keys(signed)) {
		mac.Write([]byte(signed[name]))
	}
	mac.Write(body)
	signed["Signature"] = base64.StdEncoding.EncodeToString(mac.Sum(nil))
	return signed
}

func readAnswer(r io.Reader) (answer, int32, error) {
	var sizes [8]byte
	if _, err := io.ReadFull(r, sizes[:]); err != nil {
		return answer{}, 0, err
	}
	size := binary.BigEndian.Uint32(sizes[:])
	head := binary.BigEndian.Uint32(sizes[4:]) & 0xffffff // the high byte is the encoding
	if size > maxAnswer || size < 4+head {
		return answer{}, 0, fmt.Errorf("rocketmq: malformed frame: %d, %d", size, head)
	}
	rest := make([]byte, size-4)
	if _, err := io.ReadFull(r, rest); err != nil {
		return answer{}, 0, err
	}
	var h header
	if err := json.Unmarshal(rest[:head], &h); err != nil {
		return answer{}, 0, fmt.Errorf("rocketmq: malformed header: %w", err)
	}
	return answer{code: h.Code, remark: h.Remark, ext: h.Ext, body: rest[head:]}, h.Opaque, nil
}
