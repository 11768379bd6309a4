// Package simulation simulates the whole pipeline in one process and in virtual
// time: two API and two consumer processes of the real program on the in-memory servers of
// its servers, shoppers, and faults at every step between a process and a
// server. A seed draws the shoppers, their actions and the faults; afterwards the
// faults end, and every promise of the protocol must hold.
//
// The seed fixes the plan: the sales, the shoppers with their times and actions,
// the faults with their times and chances. It does not fix in which order the
// goroutines of one virtual moment run, nor the jitter of the program, so a
// failure may want several tries.
package simulation

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"

	"seckill/order"
)

// Program is what is simulated. Its functions make a process of a role on the
// servers that they are given.
type Program struct {
	API      func(Servers) (API, error)
	Consumer func(Servers) (func(ctx context.Context) error, error)
	// Token is a shopper's bearer token; it must be good in 2027.
	Token func(shopper string) string
	// Secret signs payments.
	Secret []byte
	Signer *order.Signer // of messages
}

// API is a process that serves shoppers through Handler while Run does. Run
// ends with its context.
type API struct {
	Handler http.Handler
	Ready   func() bool
	Run     func(ctx context.Context) error
}

// Servers are the servers as one process reaches them.
type Servers struct {
	Orders *store
	Queue  *Member
	Dial   func(ctx context.Context, network, addr string) (net.Conn, error) // to Redis
	Hook   redis.Hook                                                        // for the client that dials
	// Skew is how far the clock of this process is ahead when it makes order IDs.
	Skew time.Duration
	Log  *slog.Logger
}

// Result is what became of a seed.
type Result struct {
	Seed     uint64
	Plan     string
	Breaches []string      // promises that were broken; none is what is wanted
	Trace    string        // who did what when
	Accepted int           // orders answered with 202
	Injected int           // calls that failed on purpose
	Crashes  int           // of processes
	Healed   time.Duration // virtual, after the faults and the load had ended
}
