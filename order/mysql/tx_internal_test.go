package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"seckill/order"
)

func TestErrorsAreToldApart(t *testing.T) {
	t.Parallel()
	server := func(n uint16) error { return fmt.Errorf("insert: %w", &mysql.MySQLError{Number: n}) }
	for _, c := range []struct {
		err  error
		want errorKind
	}{
		{server(1264), badData}, // out of range
		{server(1406), badData}, // too long
		{server(1690), badData}, // below zero
		{server(3819), badData}, // CHECK, MySQL
		{server(4025), badData}, // CHECK, MariaDB
		{server(1213), transient},
		{server(1205), transient},
		{server(1062), transient},
		{server(1317), transient}, // KILL QUERY
		{server(1146), transient}, // no such table: not migrated yet
		{fmt.Errorf("commit: %w: %w", errUnknown, mysql.ErrInvalidConn), transient},
		{driver.ErrBadConn, transient},
		{context.Canceled, transient},
		{errRounds, transient},
		{errNoFit, transient},
		{fmt.Errorf("sale 1: %w", order.ErrNotFound), final},
		{order.ErrConflict, final},
		{order.ErrBadChange, final},
		{errors.Join(&order.FieldError{Field: "title"}), final},
	} {
		require.Equal(t, c.want, kindOf(c.err), "%v", c.err)
	}
}
