package testenv

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"
)

// background starts a program that ends with the test.
func background(tb testing.TB, env []string, program string, args ...string) {
	tb.Helper()
	c := exec.CommandContext(context.WithoutCancel(tb.Context()), program, args...) // cleanups of the test may use it
	c.Env = append(os.Environ(), env...)
	if err := c.Start(); err != nil {
		tb.Fatalf("start %s: %v", program, err)
	}
	tb.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
}

// FreePort returns a port that is free.
func FreePort(tb testing.TB) int {
	tb.Helper()
	return freePorts(tb, 0)
}

// freePorts returns a port that is free, as those at the offsets from it. It is below
// those of outgoing connections.
func freePorts(tb testing.TB, offsets ...int) int {
	tb.Helper()
	for range 1000 {
		port, free := 22_000+rand.IntN(10_000), true
		for _, o := range offsets {
			ln, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", loopbackAt(port+o))
			if err != nil {
				free = false
				break
			}
			_ = ln.Close()
		}
		if free {
			return port
		}
	}
	tb.Fatalf("no free port")
	return 0
}

func loopbackAt(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// awaitPort waits until something listens at addr.
func awaitPort(tb testing.TB, addr string, patience time.Duration) {
	tb.Helper()
	for until := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(tb.Context(), "tcp", addr)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(until) {
			tb.Fatalf("nothing answers at %s: %v", addr, err)
		}
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatalf("%v", err)
	}
}
