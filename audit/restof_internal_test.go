package audit

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAPassSpreadsItsPages(t *testing.T) {
	t.Parallel()
	require.Equal(t, restSmall, restOf(0))
	require.Equal(t, restSmall, restOf(1000))
	require.Equal(t, 20*time.Millisecond, restOf(300_000))
	require.Equal(t, restLarge, restOf(50_000_000))
}
