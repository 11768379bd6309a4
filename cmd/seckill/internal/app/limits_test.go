package app

import (
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"seckill/internal/config"
)

func TestAChallengeNeedsAddressAndSecret(t *testing.T) {
	t.Parallel()
	watched := newWatch(prometheus.NewRegistry()).options
	for _, half := range []config.API{{ChallengeURL: "https://x/"}, {ChallengeKey: "s"}} {
		_, err := newChallenge(half, watched, slog.New(slog.DiscardHandler))
		require.ErrorContains(t, err, "SECKILL_CHALLENGE_SECRET")
	}
	none, err := newChallenge(config.API{}, watched, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.Nil(t, none)
	both, err := newChallenge(config.API{ChallengeURL: "https://x/", ChallengeKey: "s"}, watched, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.NotNil(t, both)
	for _, bad := range []string{"x", "ftp://x/", "https://", "https://me:hunter2@x/"} {
		_, err := config.Load([]string{"SECKILL_CHALLENGE_URL=" + bad}, "")
		require.ErrorContains(t, err, "SECKILL_CHALLENGE_URL")
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestAnAPITakesItsShareOfWhatIsForAllOfThem(t *testing.T) {
	t.Parallel()
	c := config.API{ShopperRPS: 9, ShopperBurst: 50, AddressRPS: 4, BuyInflight: 7, PollInflight: 8, HeldPolls: 9}
	for apis, want := range map[int]struct {
		rps, address float64
		burst        int
	}{1: {9, 4, 50}, 3: {3, 4. / 3, 16}, 100: {.09, .04, 1}} {
		l := limits(c, apis)
		require.InDelta(t, want.rps, l.ShopperRPS, 1e-9)
		require.InDelta(t, want.address, l.AddressRPS, 1e-9)
		require.Equal(t, want.burst, l.ShopperBurst)
		require.Equal(t, []int{7, 8, 9}, []int{l.BuyInflight, l.PollInflight, l.HeldPolls}, "these limits hold for each process")
	}
}
