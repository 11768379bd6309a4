//go:build e2e

package test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

// wrongClock is what a program must be built with to run with another wall
// clock: a standard library in which time.Now is off by SECKILL_CLOCK_OFFSET.
// So all the program believes of the time is off, also what its libraries
// believe, and the program itself has nothing for it. Monotonic time is right,
// as it is on a machine whose clock is set wrong.
//
// The patched file is written to dir, and returned by the path of the original.
func wrongClock(dir string) (replace map[string]string, err error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("find the standard library: %w", err)
	}
	path := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	const reading = "sec, nsec, mono := runtimeNow()\n"
	if n := bytes.Count(source, []byte(reading)); n != 1 {
		return nil, fmt.Errorf("%s of %s reads the clock %d times, not once", path, runtime.Version(), n)
	}
	source = bytes.Replace(source, []byte(reading), []byte(reading+"\tsec += clockOffset\n"), 1)
	source = bytes.Replace(source, []byte("import ("), []byte("import (\n\t\"syscall\""), 1)
	source = append(source, `
var clockOffset = func() int64 {
	text, ok := syscall.Getenv("SECKILL_CLOCK_OFFSET")
	if !ok {
		return 0
	}
	d, err := ParseDuration(text)
	if err != nil {
		panic(err)
	}
	return int64(d / Second)
}()
`...)
	patched := filepath.Join(dir, "time.go")
	return map[string]string{path: patched}, os.WriteFile(patched, source, 0o600)
}

// clock sets the wall clock of one process wrong, by an hour: the process is
// started again with it, and at the end once more without.
func clock(rng *rand.Rand) fault {
	i := rng.IntN(len(roleNames))
	offset := []time.Duration{time.Hour, -time.Hour}[rng.IntN(2)]
	return fault{
		what:  fmt.Sprintf("clock%+dh:%s", offset/time.Hour, roleNames[i]),
		begin: func(a *testbed) error { return a.roles[i].setClock(offset) },
		end:   func(a *testbed) error { return a.roles[i].setClock(0) },
	}
}

// setClock starts the process again with a clock that is so much off.
func (r *role) setClock(offset time.Duration) error {
	r.mu.Lock()
	r.offset = offset
	r.mu.Unlock()
	r.kill()
	return r.raise("")
}

// What a program with a wrong clock signs says when it believes it was signed.
// scripts/faults plays this before schedules with such clocks: to build with
// another standard library is to build everything anew.
func TestAProcessCanHaveAnotherClock(t *testing.T) {
	if os.Getenv("SECKILL_FAULTS_DIR") == "" {
		t.Skip("of scripts/faults")
	}
	path, err := clocked()
	require.NoError(t, err)
	for _, offset := range []time.Duration{0, time.Hour, -time.Hour} {
		cmd := exec.Command(path, "token", "--shopper", "1")
		cmd.Env = append(os.Environ(), "SECKILL_JWT_SECRETS="+strings.Repeat("0123456789abcdef", 2), "SECKILL_CLOCK_OFFSET="+offset.String())
		out, err := cmd.Output()
		require.NoError(t, err)
		var claims jwt.RegisteredClaims
		_, _, err = jwt.NewParser().ParseUnverified(strings.TrimSpace(string(out)), &claims)
		require.NoError(t, err)
		require.WithinDuration(t, time.Now().Add(offset), claims.IssuedAt.Time, time.Minute)
	}
}
