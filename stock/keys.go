package stock

import "strconv"

// The pub/sub channels: order IDs whose result is known, and changed sales.
const (
	resultsChannel = "seckill:results"
	salesChannel   = "seckill:sales"
)

// keys are the key names of a sale. The braces put all of them into one slot of
// a Cluster.
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

// SlotKey returns a key of a sale: the node of a Cluster that has it has the sale.
func SlotKey(saleID int64) string { return keysOf(saleID).meta }

// load is the key that the load of an epoch is written to until it is complete.
func (k keys) load(epoch uint64) string {
	return k.prefix + "load:" + strconv.FormatUint(epoch, 10)
}

// claim is the key that the process holds which does a kind of work on the sale.
func (k keys) claim(work string) string { return k.prefix + "claim:" + work }
