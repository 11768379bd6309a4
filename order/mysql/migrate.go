package mysql

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migration is one step of the schema.
type Migration struct {
	Version   int64
	Name      string
	Applied   bool
	AppliedAt time.Time // zero when not applied
}

// Migrate brings the schema up to date. Any number of processes may call it at once:
// one migrates, the others wait and find nothing to do.
func Migrate(ctx context.Context, db *sql.DB, log *slog.Logger) error {
	p, err := newMigrator(db)
	if err != nil {
		return err
	}
	done, err := p.Up(ctx)
	for _, r := range done {
		log.InfoContext(ctx, "migrated", "version", r.Source.Version, "file", r.Source.Path, "took", r.Duration)
	}
	if err != nil {
		return fmt.Errorf("mysql: migrate: %w", err)
	}
	return nil
}

// MigrationStatus returns all migrations of this program, oldest first, and whether
// db has them.
func MigrationStatus(ctx context.Context, db *sql.DB) ([]Migration, error) {
	p, err := newMigrator(db)
	if err != nil {
		return nil, err
	}
	states, err := p.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("mysql: migration status: %w", err)
	}
	ms := make([]Migration, len(states))
	for i, s := range states {
		ms[i] = Migration{
			Version: s.Source.Version, Name: s.Source.Path,
			Applied: s.State == goose.StateApplied, AppliedAt: s.AppliedAt,
		}
	}
	return ms, nil
}

// Unknown reports whether db has a migration that this program does not know, of a
// newer version.
func Unknown(ctx context.Context, db *sql.DB) (version int64, newer bool, err error) {
	p, err := newMigrator(db)
	if err != nil {
		return 0, false, err
	}
	version, known, err := p.GetVersions(ctx)
	if err != nil {
		return 0, false, fmt.Errorf("mysql: migration version: %w", err)
	}
	return version, version > known, nil
}

func newMigrator(db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("mysql: migrations: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectMySQL, db, files,
		goose.WithSessionLocker(migrationLock{}), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("mysql: migrations: %w", err)
	}
	return p, nil
}

// migrationLock is a named lock of the server, one for each database. The server
// releases it when the connection ends. goose has one for PostgreSQL only.
type migrationLock struct{}

const migrationLockName = `CONCAT('seckill migrate ', MD5(DATABASE()))`

// lockPatience is below statementTimeout. After it, Migrate fails and may be called
// again.
const lockPatience = 10 // seconds

var errMigrationLocked = errors.New("another process is migrating")

func (migrationLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	var got sql.NullInt64
	err := conn.QueryRowContext(ctx, `SELECT GET_LOCK(`+migrationLockName+`, ?)`, lockPatience).Scan(&got)
	if err == nil && got.Int64 != 1 {
		err = errMigrationLocked
	}
	return err
}

func (migrationLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	var freed sql.NullInt64
	return conn.QueryRowContext(ctx, `SELECT RELEASE_LOCK(`+migrationLockName+`)`).Scan(&freed)
}
