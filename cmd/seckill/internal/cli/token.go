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
	"seckill/internal/suggest"
	"seckill/order"
)

func newToken(p *process) *cobra.Command {
	o := tokenOptions{}
	c := &cobra.Command{
		Use:   "token",
		Short: "Make signed tokens for a shopper, for many shoppers, or for an operator",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return p.writeTokens(c.Context(), o) },
	}
	c.Flags().StringVar(&o.shopper, "shopper", "", "make one token, for this shopper")
	c.Flags().IntVar(&o.shoppers, "shoppers", 0, "make this many tokens, one a line, for the shoppers K, K+1, …")
	c.Flags().IntVar(&o.first, "first", 1, "K, the first shopper of --shoppers")
	c.Flags().StringVar(&o.operator, "operator", "", "make a token for the operators' API, for this operator; the audit log shows the name")
	c.Flags().StringVar(&o.role, "role", adminhttp.Viewer, "role of the operator: "+strings.Join(adminhttp.Roles(), " or "))
	c.Flags().DurationVar(&o.valid, "valid", 24*time.Hour, "how long a token is valid")
	return c
}

// tokenOptions are the flags of `token`.
type tokenOptions struct {
	shopper         string
	shoppers, first int
	operator, role  string
	valid           time.Duration
}

// terms returns the terms of the tokens to make.
func (o tokenOptions) terms(p *process) (app.TokenTerms, error) {
	if o.operator == "" {
		cfg, err := p.settings("jwt_secrets")
		return app.ShopperTokens(cfg), err
	}
	cfg, err := p.settings("admin_jwt_secrets")
	if err == nil && !slices.Contains(adminhttp.Roles(), o.role) {
		err = &usageError{fmt.Errorf("--role is %s, got %q%s", strings.Join(adminhttp.Roles(), " or "), o.role, suggest.Remark(o.role, adminhttp.Roles()))}
	}
	if err == nil && o.valid > cfg.Admin.TokenLifetime {
		err = &usageError{fmt.Errorf("--valid is at most %s for an operator (SECKILL_ADMIN_TOKEN_LIFETIME), got %s", cfg.Admin.TokenLifetime, o.valid)}
	}
	return app.OperatorTokens(cfg, o.role), err
}

// subjects returns the shoppers, or the operator, to make tokens for.
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
