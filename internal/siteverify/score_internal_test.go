package siteverify

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHCaptchasScoreIsOneOfRisk(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		url   string
		score float64
		want  bool
	}{
		{"https://api.hcaptcha.com/siteverify", 0, true},
		{"https://hcaptcha.com/siteverify", 0.4, true},
		{"https://api.hcaptcha.com/siteverify", 0.6, false},
		{"https://www.google.com/recaptcha/api/siteverify", 0, false},
		{"https://nothcaptcha.com/siteverify", 0.9, true},
	} {
		require.Equal(t, c.want, New(Options{URL: c.url, MinScore: 0.5}).trusted(&c.score), "%s %g", c.url, c.score)
	}
}
