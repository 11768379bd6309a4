package main

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/spf13/cobra"

	"seckill/internal/config"
	"seckill/order"
)

func newToken(p *process) *cobra.Command {
	var shopper string
	var shoppers, first int
	var valid time.Duration
	c := &cobra.Command{
		Use:   "token",
		Short: "Make signed shopper tokens, one for a test or many for a load test",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := p.settings("jwt_secrets")
			if err != nil {
				return err
			}
			if (shopper == "") == (shoppers == 0) {
				return &usageError{errors.New("give --shopper ID, or --shoppers N")}
			}
			mint, err := newMinter(cfg.Auth, time.Now().Add(valid))
			if err != nil {
				return &usageError{err}
			}
			w := bufio.NewWriterSize(p.stdout, 1<<16)
			if shopper != "" {
				if !order.ValidShopperID(shopper) {
					return &usageError{fmt.Errorf("a shopper ID is 1-64 printable ASCII bytes, got %q", shopper)}
				}
				shoppers = 1
			}
			for i := range shoppers {
				subject := shopper
				if subject == "" {
					subject = strconv.Itoa(first + i)
				}
				token, err := mint(subject)
				if err != nil {
					return err
				}
				if _, err := fmt.Fprintln(w, token); err != nil {
					return err
				}
				if err := c.Context().Err(); err != nil {
					return err
				}
			}
			return w.Flush()
		},
	}
	c.Flags().StringVar(&shopper, "shopper", "", "shopper ID of a single token")
	c.Flags().IntVar(&shoppers, "shoppers", 0, "how many tokens, for the shoppers K, K+1, …; one a line")
	c.Flags().IntVar(&first, "first", 1, "K, the first shopper of --shoppers")
	c.Flags().DurationVar(&valid, "valid", 24*time.Hour, "how long a token is valid")
	return c
}

// newMinter returns a function that signs a shopper's token with the first
// secret (by key ID).
func newMinter(auth config.Auth, expires time.Time) (func(shopper string) (string, error), error) {
	kids := slices.Sorted(maps.Keys(auth.JWTSecrets))
	if len(kids) == 0 {
		return nil, errors.New("tokens are signed with a secret of SECKILL_JWT_SECRETS: there is none")
	}
	return func(shopper string) (string, error) {
		t := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
			Subject: shopper, Issuer: auth.Issuer, Audience: jwt.ClaimStrings{auth.Audience},
			IssuedAt: jwt.NewNumericDate(time.Now()), ExpiresAt: jwt.NewNumericDate(expires),
		})
		if kids[0] != "" {
			t.Header["kid"] = kids[0]
		}
		return t.SignedString(auth.JWTSecrets[kids[0]])
	}, nil
}
