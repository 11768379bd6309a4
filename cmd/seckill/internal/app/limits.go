package app

import (
	"errors"
	"log/slog"
	"net/netip"

	"seckill/api"
	"seckill/internal/breaker"
	"seckill/internal/config"
	"seckill/internal/siteverify"
)

// newChallenge returns the verifier of challenges; nil if none is configured. Its
// breaker has no probe, since each call may cost money: after five seconds the
// answer of a shopper is the probe, and if it fails that shopper must try again.
func newChallenge(c config.API, watched func(string, breaker.Options) breaker.Options, log *slog.Logger) (*siteverify.Verifier, error) {
	if (c.ChallengeURL == "") != (c.ChallengeKey == "") {
		return nil, &SettingError{errors.New("SECKILL_CHALLENGE_URL and SECKILL_CHALLENGE_SECRET go together: set both, or neither")}
	}
	if c.ChallengeURL == "" {
		return nil, nil //nolint:nilnil // no challenge is no error
	}
	guard := breaker.New(watched("challenge", breaker.Options{
		Ignored: func(err error) bool { return errors.Is(err, siteverify.ErrRefused) },
		Log:     log,
	}))
	return siteverify.New(siteverify.Options{
		URL: c.ChallengeURL, Secret: c.ChallengeKey, Hostnames: c.ChallengeHostnames, Action: c.ChallengeAction, MinScore: c.ChallengeMinScore,
		Guard: guard.Do,
	}), nil
}

// limits returns the limits of one of several APIs. The rates of a shopper and of an
// address apply to all APIs together: each API allows its share.
func limits(c config.API, apis int) api.Limits {
	l := api.DefaultLimits()
	l.BuyInflight, l.PollInflight, l.HeldPolls = c.BuyInflight, c.PollInflight, c.HeldPolls
	l.ShopperRPS, l.AddressRPS = c.ShopperRPS/float64(apis), c.AddressRPS/float64(apis)
	l.ShopperBurst = max(1, c.ShopperBurst/apis)
	return l
}

func proxies(c config.API) []netip.Prefix {
	ps := make([]netip.Prefix, len(c.TrustedProxies))
	for i, s := range c.TrustedProxies {
		ps[i] = netip.MustParsePrefix(s) // checked when the settings were loaded
	}
	return ps
}
