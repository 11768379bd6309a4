package app

import (
	"database/sql"
	"errors"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"seckill/admin"
	adminhttp "seckill/admin/http"
	"seckill/audit"
	"seckill/internal/config"
	"seckill/internal/denial"
	"seckill/order/mysql"
	"seckill/reconcile"
	"seckill/stock"
)

// newService returns what operators do, for the admin API and the command line.
func newService(cfg config.Config, b *backend, log *slog.Logger) *admin.Service {
	ledger := stock.New(b.redis)
	loader := reconcile.NewLoader(b.store, b.store, ledger, b.queue, log)
	return admin.New(admin.Options{
		Operations: b.operators, Sales: b.operators, Names: b.operators, AuditLog: b.operators, Orders: b.operators, Search: b.operators, DeadLetters: b.operators, Payments: b.operators, Reports: b.operators,
		Ledger: ledger, Entries: ledger, Loader: loader, Tail: reconcile.NewTail(b.store, ledger),
		Auditor: audit.NewAuditor(b.store, ledger, audit.Grace), Rebuilder: reconcile.NewRebuilder(b.store, ledger, loader), Log: log,
		Limits: b.operators, LimitRules: limitRules(cfg), Fleet: newFleet(cfg, b.redis),
	})
}

func limitRules(cfg config.Config) admin.LimitRules {
	return admin.LimitRules{Configured: cfg.Limits(), Parse: config.ParseLimit}
}

// newAdminAPI returns the operators' API; nil where no key of theirs is set.
func newAdminAPI(cfg config.Config, b *backend, reg prometheus.Registerer, log *slog.Logger) (http.Handler, error) {
	if len(cfg.Admin.JWTSecrets)+len(cfg.Admin.JWTPublicKeys) == 0 {
		log.Info("admin API is off: no SECKILL_ADMIN_JWT_SECRETS or SECKILL_ADMIN_JWT_PUBLIC_KEYS")
		return nil, nil //nolint:nilnil // off is no error
	}
	tokens, err := newOperatorVerifier(cfg)
	if err != nil {
		return nil, &SettingError{err}
	}
	return adminhttp.NewHandler(newService(cfg, b, log), tokens, denial.NewRecorder(reg, log, denial.Operator), log), nil
}

// WithServers calls fn with a service on all servers.
func WithServers(cfg config.Config, log *slog.Logger, fn func(*admin.Service) error) error {
	b, err := openBackend(cfg, log)
	if err != nil {
		return err
	}
	defer b.close()
	return fn(newService(cfg, b, log))
}

// WithStores calls fn with a service on MySQL and Redis alone.
func WithStores(cfg config.Config, log *slog.Logger, fn func(*admin.Service) error) error {
	rdb, err := openRedis(cfg.Redis)
	if err != nil {
		return err
	}
	defer rdb.Close()
	return withDB(cfg.MySQL, func(db *sql.DB) error {
		store := mysql.NewStore(db, log)
		return fn(admin.New(admin.Options{
			Sales: store, Names: store, Ledger: stock.New(rdb), Limits: store, LimitRules: limitRules(cfg), Fleet: newFleet(cfg, rdb), Log: log,
		}))
	})
}

// WithMySQL calls fn with a service on MySQL alone.
func WithMySQL(cfg config.Config, log *slog.Logger, fn func(*admin.Service) error) error {
	return withDB(cfg.MySQL, func(db *sql.DB) error {
		store := mysql.NewStore(db, log)
		return fn(admin.New(admin.Options{Sales: store, Names: store, AuditLog: store, DeadLetters: store, Payments: store, Log: log}))
	})
}

func withDB(c config.MySQL, fn func(*sql.DB) error) error {
	db, err := openDB(c)
	if err != nil {
		return err
	}
	return errors.Join(fn(db), db.Close())
}
