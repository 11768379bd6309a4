package main

import (
	"bytes"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"os/user"
	"strings"

	"seckill/admin"
	"seckill/admin/http"
	"seckill/audit"
	"seckill/internal/auth"
	"seckill/internal/config"
	"seckill/order"
	"seckill/reconcile"
	"seckill/stock"
)

// newService returns what operators do, for the admin API and the command line.
func newService(cfg config.Config, b *backend, log *slog.Logger) *admin.Service {
	ledger := stock.New(b.redis)
	loader := reconcile.NewLoader(b.orders, b.orders, ledger, b.queue, log)
	return admin.New(admin.Options{
		Operations: b.desk, Sales: b.desk, AuditLog: b.desk, OrderRows: b.desk, Search: b.desk, Letters: b.desk, Reports: b.desk,
		Ledger: ledger, Entries: ledger, Loader: loader, Tail: reconcile.NewTail(b.orders, ledger),
		Auditor: audit.NewAuditor(b.orders, ledger, audit.Grace), Rebuilder: reconcile.NewRebuilder(b.orders, ledger, loader), Log: log,
		Limits: b.desk, LimitRules: admin.LimitRules{Configured: cfg.Limits(), Parse: config.ParseLimit}, Fleet: newFleet(cfg, b.redis),
	})
}

// newAdminAPI returns the operators' API; nil where no key of theirs is set.
func newAdminAPI(cfg config.Config, b *backend, log *slog.Logger) (http.Handler, error) {
	if len(cfg.Admin.JWTSecrets)+len(cfg.Admin.JWTPublicKeys) == 0 {
		log.Info("admin API is off: no SECKILL_ADMIN_JWT_SECRETS or SECKILL_ADMIN_JWT_PUBLIC_KEYS")
		return nil, nil //nolint:nilnil // off is no error
	}
	tokens, err := newOperatorTokens(cfg)
	if err != nil {
		return nil, &usageError{err}
	}
	return adminhttp.NewHandler(newService(cfg, b, log), tokens), nil
}

// operatorTokens tells operators by tokens under keys and an audience of their
// own. The claim `role` says what they may do.
type operatorTokens struct{ *auth.Verifier }

// rememberedOperators bounds the tokens that are remembered.
const rememberedOperators = 1024

func newOperatorTokens(cfg config.Config) (operatorTokens, error) {
	for _, secret := range cfg.Admin.JWTSecrets {
		for shoppers := range maps.Values(cfg.Auth.JWTSecrets) {
			if bytes.Equal(secret, shoppers) {
				return operatorTokens{}, errors.New("SECKILL_ADMIN_JWT_SECRETS has a secret of SECKILL_JWT_SECRETS: who signs shoppers' tokens could make operators")
			}
		}
	}
	if cfg.Admin.Audience == cfg.Auth.Audience {
		return operatorTokens{}, errors.New("SECKILL_ADMIN_JWT_AUDIENCE is SECKILL_JWT_AUDIENCE: operators need one of their own")
	}
	v, err := verifier("SECKILL_ADMIN_JWT_PUBLIC_KEYS", cfg.Admin.JWTPublicKeys, auth.Options{
		Secrets: cfg.Admin.JWTSecrets, Issuer: cfg.Auth.Issuer, Audience: cfg.Admin.Audience, CacheSize: rememberedOperators,
	})
	return operatorTokens{v}, err
}

// Operator returns whose token it is; without a role where it says none.
func (t operatorTokens) Operator(token string) (order.Operator, error) {
	who, err := t.Verify(token)
	if err != nil {
		return order.Operator{}, err
	}
	for _, role := range adminhttp.Roles() {
		if who.Holds("role=" + role) {
			return order.Operator{Name: who.Shopper, Role: role}, nil
		}
	}
	return order.Operator{Name: who.Shopper}, nil
}

// thisOperator is who runs a command: whoever has the database's password may
// do what an operator may.
func thisOperator() order.Operator {
	name, host := "unknown", "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	plain := strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '?'
		}
		return r
	}, "cli:"+name+"@"+host)
	return order.Operator{Name: plain, Role: adminhttp.Operate}
}

// thisCall is a command of whoever runs this one.
func thisCall() admin.Call { return admin.Call{By: thisOperator(), Command: admin.NewCommand()} }
