//go:build e2e

package test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"
)

// brokerDisk is the size of the disk, in memory, that scripts/up gives to the
// broker of the tests, where it may mount one.
const brokerDisk = "512M"

// diskFull fills the broker's disk: above 90 % it refuses to write. It looks at
// its disk every 10 s, but for the first time a minute after it is up, which is
// waited for before the load.
func diskFull(rng *rand.Rand) fault {
	var began time.Time // when the broker was started that was seen to look
	return fault{
		what: "disk-full:broker", breaks: true,
		at: time.Duration(1 + rng.Int64N(int64(time.Second))), span: 15 * time.Second,
		before: func(a *testbed) {
			began = a.servers["broker"].began()
			require.NoError(a.t, a.fillDisk())
			require.Eventually(a.t, func() bool { return !a.stores() }, 4*time.Minute, time.Second, "the broker never refuses")
			require.NoError(a.t, os.Remove(a.filler()))
			require.Eventually(a.t, a.stores, time.Minute, time.Second, "the broker refuses for good")
		},
		begin: func(a *testbed) error { return a.fillDisk() },
		end: func(a *testbed) error {
			var err error
			if a.stores() && began.Equal(a.servers["broker"].began()) { // not one that another fault killed
				err = errors.New("the broker stores on a full disk")
			}
			return errors.Join(err, os.Remove(a.filler()))
		},
	}
}

// stores reports whether the broker takes a message.
func (a *testbed) stores() bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return a.outside.Inject(ctx, "room", []byte("is there room for it?")) == nil
}

func (a *testbed) filler() string {
	return filepath.Join(a.servers["broker"].dir, "data", "broker", "filler")
}

// fillDisk leaves 6 % of the broker's disk.
func (a *testbed) fillDisk() error {
	const tmpfs = 0x01021994
	var disk syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(a.filler()), &disk); err != nil {
		return err
	}
	if disk.Type != tmpfs {
		return errors.New("the broker has no disk of its own to be filled: scripts/up mounts one for root")
	}
	f, err := os.OpenFile(a.filler(), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	left := int64(disk.Blocks * 6 / 100)
	return syscall.Fallocate(int(f.Fd()), 0, 0, max(int64(disk.Bavail)-left, 1)*disk.Bsize)
}
