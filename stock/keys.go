package stock

import "strconv"

// The channels of pub/sub: IDs whose result is known, sales that changed.
const (
	resultsChannel = "seckill:results"
	salesChannel   = "seckill:sales"
)

// keys are the names of a sale's values. The braces put all of them into one
// slot of a cluster.
type keys struct {
	meta   string // hash: state, window, limit, price, counters, epoch, cursor and its marks
	orders string // hash: shopper -> entries
	due    string // list, FIFO: <due ms>,<order ID>,<shopper>
	urgent string // list, FIFO: <order ID>,<shopper>
	prefix string
}

func keysOf(saleID int64) keys {
	p := "seckill:{" + strconv.FormatInt(saleID, 10) + "}:"
	return keys{meta: p + "m", orders: p + "o", due: p + "d", urgent: p + "u", prefix: p}
}

// load is where the load of an epoch is written until it is complete.
func (k keys) load(epoch uint64) string {
	return k.prefix + "load:" + strconv.FormatUint(epoch, 10)
}

// claim is who does a piece of work on the sale for now.
func (k keys) claim(work string) string { return k.prefix + "claim:" + work }
