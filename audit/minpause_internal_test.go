package audit

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAScanSpreadsItsPages(t *testing.T) {
	t.Parallel()
	require.Equal(t, smallSalePause, minPause(0))
	require.Equal(t, smallSalePause, minPause(1000))
	require.Equal(t, 20*time.Millisecond, minPause(300_000))
	require.Equal(t, largeSalePause, minPause(50_000_000))
}
