package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	adminhttp "seckill/admin/http"
	"seckill/cmd/seckill/internal/app"
	"seckill/order"
)

func newToken(p *process) *cobra.Command {
	o := tokenOptions{}
	c := &cobra.Command{
		Use:   "token",
		Short: "Make signed tokens: of a shopper, of many for a load test, or of an operator",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return p.writeTokens(c.Context(), o) },
	}
	c.Flags().StringVar(&o.shopper, "shopper", "", "shopper ID of a single token")
	c.Flags().IntVar(&o.shoppers, "shoppers", 0, "how many tokens, for the shoppers K, K+1, …; one a line")
	c.Flags().IntVar(&o.first, "first", 1, "K, the first shopper of --shoppers")
	c.Flags().StringVar(&o.operator, "operator", "", "an operator's name, for the audit log; the token is one for the admin API")
	c.Flags().StringVar(&o.role, "role", adminhttp.Viewer, "of --operator: "+strings.Join(adminhttp.Roles(), " or "))
	c.Flags().DurationVar(&o.valid, "valid", 24*time.Hour, "how long a token is valid")
	return c
}

// tokenOptions say whose tokens are wanted.
type tokenOptions struct {
	shopper         string
	shoppers, first int
	operator, role  string
	valid           time.Duration
}

// terms are those of the tokens that are wanted.
func (o tokenOptions) terms(p *process) (app.TokenTerms, error) {
	if o.operator == "" {
		cfg, err := p.settings("jwt_secrets")
		return app.ShopperTokens(cfg), err
	}
	cfg, err := p.settings("admin_jwt_secrets")
	if err == nil && !slices.Contains(adminhttp.Roles(), o.role) {
		err = &usageError{fmt.Errorf("--role is %s, got %q", strings.Join(adminhttp.Roles(), " or "), o.role)}
	}
	return app.OperatorTokens(cfg, o.role), err
}

// subjects are whose tokens are wanted.
func (o tokenOptions) subjects() (iter.Seq[string], error) {
	given := 0
	for _, is := range []bool{o.shopper != "", o.shoppers != 0, o.operator != ""} {
		if is {
			given++
		}
	}
	single := o.shopper + o.operator
	switch {
	case given != 1:
		return nil, errors.New("give --shopper ID, --shoppers N, or --operator NAME")
	case o.shoppers != 0:
		return func(yield func(string) bool) {
			for i := range o.shoppers {
				if !yield(strconv.Itoa(o.first + i)) {
					return
				}
			}
		}, nil
	case !order.ValidShopperID(single):
		return nil, fmt.Errorf("the name in a token is 1-64 printable ASCII bytes, got %q", single)
	}
	return slices.Values([]string{single}), nil
}

func (p *process) writeTokens(ctx context.Context, o tokenOptions) error {
	terms, err := o.terms(p)
	if err != nil {
		return err
	}
	subjects, err := o.subjects()
	if err != nil {
		return &usageError{err}
	}
	mint, err := app.NewMinter(terms, time.Now().Add(o.valid))
	if err != nil {
		return &usageError{err}
	}
	w := bufio.NewWriterSize(p.stdout, 1<<16)
	for subject := range subjects {
		token, err := mint(subject)
		if err == nil {
			_, err = fmt.Fprintln(w, token)
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
	}
	return w.Flush()
}
