package checkup_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/admin"
	"seckill/cmd/seckill/internal/checkup"
	"seckill/fleet"
	"seckill/order"
	"seckill/stock"
)

var (
	errAway = errors.New("away")
	noon    = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
)

// soon is a loaded sale that starts in five minutes.
func soon() (order.Sale, stock.Meta) {
	s := order.Sale{
		Title: "t", State: order.SaleOpen, PriceMinor: 9900, Currency: "CNY", Total: 1000, Available: 1000, OrdersPerShopper: 1, UnitsPerOrder: 2,
		StartsAt: noon.Add(5 * time.Minute), EndsAt: noon.Add(time.Hour), PayWithin: 10 * time.Minute, Seq: 3,
	}
	return s, stock.Meta{Loaded: true, State: s.State, StartsAt: s.StartsAt, EndsAt: s.EndsAt, Total: 1000, Available: 1000, Applied: 3, Now: noon}
}

func TestASaleThatMayBeginIsWell(t *testing.T) {
	t.Parallel()
	s, m := soon()
	found := checkup.Sale(s, m, noon)
	requireSound(t, found...)
	for _, f := range found {
		require.Equal(t, checkup.OK, f.Level, "%+v", f)
	}
}

func TestWhatASaleLacksIsFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*order.Sale, *stock.Meta)
		where  string
		want   checkup.Level
	}{
		"ended":                  {func(s *order.Sale, _ *stock.Meta) { s.State = order.SaleEnded }, "sale", checkup.Fail},
		"voided":                 {func(s *order.Sale, _ *stock.Meta) { s.Voided = true }, "sale", checkup.Fail},
		"paused":                 {func(s *order.Sale, _ *stock.Meta) { s.State = order.SalePaused }, "sale", checkup.Warn},
		"not loaded":             {func(_ *order.Sale, m *stock.Meta) { *m = stock.Meta{} }, "sale in redis", checkup.Fail},
		"not loaded, though due": {func(s *order.Sale, m *stock.Meta) { s.State, *m = order.SaleScheduled, stock.Meta{} }, "sale in redis", checkup.Fail},
		"not loaded, not due": {func(s *order.Sale, m *stock.Meta) {
			s.State, *m, s.StartsAt, s.EndsAt = order.SaleScheduled, stock.Meta{}, noon.Add(time.Hour), noon.Add(2*time.Hour)
		}, "sale in redis", checkup.Warn},
		"Redis away":         {func(_ *order.Sale, m *stock.Meta) { m.Err = errAway }, "sale in redis", checkup.Fail},
		"Redis behind":       {func(s *order.Sale, _ *stock.Meta) { s.Seq = 4 }, "sale in redis", checkup.Fail},
		"counters that leak": {func(_ *order.Sale, m *stock.Meta) { m.Available-- }, "sale in redis", checkup.Fail},
		"another window":     {func(_ *order.Sale, m *stock.Meta) { m.EndsAt = m.EndsAt.Add(time.Second) }, "sale window", checkup.Fail},
		"over":               {func(s *order.Sale, m *stock.Meta) { s.EndsAt, m.EndsAt = noon, noon }, "sale window", checkup.Fail},
		"a window too short": {func(s *order.Sale, m *stock.Meta) {
			s.EndsAt, m.EndsAt = s.StartsAt.Add(time.Second), m.StartsAt.Add(time.Second)
		}, "sale window", checkup.Warn},
		"a price of a few cents": {func(s *order.Sale, _ *stock.Meta) { s.PriceMinor = 99 }, "sale price", checkup.Warn},
		"nothing to sell":        {func(s *order.Sale, _ *stock.Meta) { s.Available = 0 }, "sale units", checkup.Fail},
		"all for one shopper":    {func(s *order.Sale, _ *stock.Meta) { s.UnitsPerOrder = 1000 }, "sale units", checkup.Warn},
		"seconds to pay":         {func(s *order.Sale, _ *stock.Meta) { s.PayWithin = 5 * time.Second }, "sale units", checkup.Warn},
	} {
		s, m := soon()
		c.change(&s, &m)
		found := checkup.Sale(s, m, noon)
		requireSound(t, found...)
		f := of(t, found, c.where)
		require.Equal(t, c.want, f.Level, "%s: %+v", name, f)
	}
}

// crew is a healthy fleet with two instances of each role.
func crew() checkup.Fleet {
	instance := func(id, role string) fleet.Instance {
		return fleet.Instance{
			ID: id, Role: role, Version: "1", Generation: 4, SaidAt: noon, SeenAt: noon, MaxFiles: 65536, MaxMySQLConns: 8, MaxRedisConns: 32,
			SalesFingerprint: "d", Load: fleet.Load{MySQLConns: 1, RedisConns: 1},
		}
	}
	return checkup.Fleet{
		Instances: []fleet.Instance{
			instance("api-1", fleet.RoleAPI), instance("api-2", fleet.RoleAPI), instance("consumer-1", fleet.RoleConsumer), instance("consumer-2", fleet.RoleConsumer),
		},
		Generation: 4, HeldPolls: 20_000, Loaded: 1, Fingerprint: "d", Line: func(fleet.Instance) string { return "line" },
	}
}

func TestWhatAnInstanceLacksIsFound(t *testing.T) {
	t.Parallel()
	f := crew()
	require.False(t, f.Stale())
	require.Equal(t, 2, f.Consumers())
	for _, found := range append(f.Check(), f.Roles()...) {
		require.Equal(t, checkup.OK, found.Level, "%+v", found)
	}
	for says, c := range map[string]struct {
		change func(*fleet.Instance)
		want   checkup.Level
		stale  bool
	}{
		"limits of generation 3, not 4": {func(i *fleet.Instance) { i.Generation = 3 }, checkup.Fail, true},
		"refuses limits: x: no":         {func(i *fleet.Instance) { i.Generation, i.LimitsRefused = 3, "x: no" }, checkup.Fail, true},
		"the sales of MySQL and Redis":  {func(i *fleet.Instance) { i.SalesFingerprint = "e" }, checkup.Fail, true},
		"does not call rocketmq":        {func(i *fleet.Instance) { i.BreakersOpen = []string{"rocketmq"} }, checkup.Fail, false},
		"20000 files, and needs 30000":  {func(i *fleet.Instance) { i.MaxFiles = 20_000 }, checkup.Warn, false},
		"1024 files":                    {func(i *fleet.Instance) { i.MaxFiles = 1024 }, checkup.Fail, false},
		"has no open connection":        {func(i *fleet.Instance) { i.Load.MySQLConns = 0 }, checkup.Warn, false},
		"2s behind Redis' clock":        {func(i *fleet.Instance) { i.SaidAt = noon.Add(-2 * time.Second) }, checkup.Warn, false},
		"1m0s ahead of Redis' clock":    {func(i *fleet.Instance) { i.SaidAt = noon.Add(time.Minute) }, checkup.Fail, false},
	} {
		f := crew()
		c.change(&f.Instances[1])
		found := f.Check()
		requireSound(t, found...)
		require.Equal(t, c.want, found[1].Level, "%s: %+v", says, found[1])
		require.Contains(t, found[1].Detail, says)
		require.Contains(t, found[1].Detail, "; line")
		require.Equal(t, c.stale, f.Stale(), says)
	}
	f.Instances[3].SalesFingerprint = "" // a consumer has no sale snapshots
	require.False(t, f.Stale())
	f.Instances[0].Version = "2"
	require.Equal(t, checkup.Warn, of(t, f.Check(), "versions").Level)
}

func TestAtLeastTwoOfEachRoleAreWanted(t *testing.T) {
	t.Parallel()
	f := crew()
	f.Instances = f.Instances[1:3]
	found := f.Roles()
	requireSound(t, found...)
	require.Equal(t, checkup.Warn, of(t, found, "apis").Level)
	require.Equal(t, checkup.Warn, of(t, found, "consumers").Level)
	f.Instances = f.Instances[:1]
	require.Equal(t, checkup.Fail, of(t, f.Roles(), "consumers").Level)
	f.Instances = nil
	require.Equal(t, checkup.Fail, of(t, f.Roles(), "apis").Level)
	require.Equal(t, checkup.OK, f.Check()[0].Level, "no instances are a problem for a sale only")
}

func TestWhatCannotBeReadFailsAndIsNotChecked(t *testing.T) {
	t.Parallel()
	away := &admin.UnavailableError{Server: "mysql", Err: context.DeadlineExceeded}
	for name, change := range map[string]func(*checkup.Fleet){
		"limits in force":        func(f *checkup.Fleet) { f.LimitsErr, f.Generation = away, 0 },
		"sales of the instances": func(f *checkup.Fleet) { f.SalesErr, f.Fingerprint = away, "" },
	} {
		f := crew()
		change(&f)
		require.False(t, f.Stale(), "it waits for no instance")
		found := f.Check()
		requireSound(t, found...)
		unread := of(t, found, name)
		require.Equal(t, checkup.Fail, unread.Level)
		require.Contains(t, unread.Detail, context.DeadlineExceeded.Error())
		require.Contains(t, unread.Advice, "SECKILL_MYSQL_DSN")
		require.Len(t, found, 1+len(f.Instances))
		for _, i := range f.Instances {
			require.Equal(t, checkup.OK, of(t, found, i.ID).Level)
		}
		require.Len(t, f.Roles(), 2)
	}
	nobody := checkup.Fleet{InstancesErr: &admin.UnavailableError{Server: "redis", Err: errors.New("NOPERM")}}
	found := append(nobody.Check(), nobody.Roles()...)
	require.Len(t, found, 1, "unread is not the same as none: %+v", found)
	require.Equal(t, checkup.Fail, found[0].Level)
	require.Contains(t, found[0].Advice, "seckill:*")
}
