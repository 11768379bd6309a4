package cli

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/admin"
	"seckill/fleet"
)

func TestALimitThatAnInstanceRefusesIsShown(t *testing.T) {
	t.Parallel()
	lagging := fleet.Instance{ID: "api-1", Role: fleet.RoleAPI, LimitsRefused: "consumer_workers: too many"}
	var out strings.Builder
	require.NoError(t, (&process{stdout: &out}).showLimits(admin.LimitsView{
		Generation: 1, Instances: []admin.GenerationView{{ID: "api-1", Lags: true, Refused: lagging.LimitsRefused}},
	}))
	require.Contains(t, out.String(), "in force in 0 of 1 instances")
	require.Contains(t, out.String(), "lags: it has generation 0 and refuses of the newest: consumer_workers: too many")
	live := admin.ViewLive(admin.Live{Instances: []fleet.Instance{lagging}})
	require.Contains(t, strings.Join(troubles(live), "\n"), "refuses some limits")
}
