package cli

import (
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/cmd/seckill/internal/checkup"
)

func TestAPreflightsExitCodeTellsAServerThatIsDownFromOtherFailures(t *testing.T) {
	t.Parallel()
	well, failure, down := checkup.Finding{OK: true}, checkup.Finding{}, checkup.Finding{Down: true}
	require.NoError(t, verdict([]checkup.Finding{well}))
	require.Equal(t, exitFailure, exitCode(verdict([]checkup.Finding{well, failure})))
	require.Equal(t, exitDependency, exitCode(verdict([]checkup.Finding{failure, down})))
}
