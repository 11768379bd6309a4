// Package testenv connects tests with real servers: those that the SECKILL_*
// variables name, or those that scripts/up started, whose settings it reads from
// .run/env in this folder or one above.
//
// A test whose server is missing is skipped. With SECKILL_TEST_REQUIRED=1, which
// scripts/test and CI set, it fails. With SECKILL_TEST_SERVERS=none, which
// scripts/test --quick sets, every test that needs a server is skipped, also while
// servers run.
package testenv

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// SaleID returns a sale ID that no other test uses, in this process or another:
// its keys and rows belong to the test.
func SaleID() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return int64(binary.BigEndian.Uint64(b[:])>>1 | 1)
}

// missingf skips the test, or fails it if servers are required.
func missingf(tb testing.TB, format string, args ...any) {
	tb.Helper()
	if required := os.Getenv("SECKILL_TEST_REQUIRED"); required != "" && required != "0" {
		tb.Fatalf(format, args...)
	}
	tb.Skipf(format, args...)
}

// needsServers skips the test when no server may be used.
func needsServers(tb testing.TB) {
	tb.Helper()
	if os.Getenv("SECKILL_TEST_SERVERS") == "none" {
		tb.Skipf("SECKILL_TEST_SERVERS=none: this test needs a server")
	}
}

// setting returns the value of name in the environment or in .run/env.
func setting(tb testing.TB, name string) string {
	tb.Helper()
	needsServers(tb)
	v := lookup(tb, name)
	if v == "" {
		missingf(tb, "%s is not set: scripts/up starts the servers", name)
	}
	return v
}

// lookup is like setting, but returns "" if there is none.
func lookup(tb testing.TB, name string) string {
	tb.Helper()
	if v := os.Getenv(name); v != "" {
		return v
	}
	return fromFile(tb, name)
}

// fromFile looks up name in the nearest .run/env, in this folder or above, which
// has lines like export NAME='value'.
func fromFile(tb testing.TB, name string) string {
	tb.Helper()
	path := upwards(tb, ".run/env")
	if path == "" {
		return ""
	}
	f, err := os.Open(path)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if v, ok := strings.CutPrefix(lines.Text(), "export "+name+"="); ok {
			return strings.Trim(v, "'")
		}
	}
	if err := lines.Err(); err != nil {
		tb.Fatalf("read %s: %v", f.Name(), err)
	}
	return ""
}

// upwards returns the path of a file in this folder or the nearest one above; "" if
// there is none.
func upwards(tb testing.TB, name string) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatalf("working directory: %v", err)
	}
	for {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}

// reach checks that something listens at each address: a .run/env may outlive its
// servers.
func reach(tb testing.TB, what string, addrs ...string) {
	tb.Helper()
	dialer := net.Dialer{Timeout: 5 * time.Second}
	for _, addr := range addrs {
		conn, err := dialer.DialContext(tb.Context(), "tcp", addr)
		if err != nil {
			missingf(tb, "no %s: %v: scripts/up starts it", what, err)
		}
		_ = conn.Close()
	}
}

func split(list string) []string {
	parts := strings.Split(list, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}
