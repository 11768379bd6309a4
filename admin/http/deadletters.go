package adminhttp

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	"seckill/admin"
	"seckill/order"
)

func (h *Handler) listDeadLetters(_ http.ResponseWriter, r *http.Request) (any, error) {
	in := queryOf(r, "sale_id", "cursor", "limit")
	q := order.DeadLetterQuery{After: in.deadLetterCursor(), Limit: in.limit()}
	q.SaleID = h.saleFilter(r.Context(), in)
	if in.err != nil {
		return nil, in.err
	}
	found, err := h.service.DeadLetters(r.Context(), q)
	l := listOf(found, admin.ViewDeadLetter)
	if len(found) == q.Limit {
		l.Next = cursorOf(found[q.Limit-1].Cursor())
	}
	return l, err
}

// letterCursor is the JSON of an order.DeadLetterCursor. IDs of dead letters need not be
// UTF-8.
type letterCursor struct {
	At        time.Time `json:"at"`
	OrderID   order.ID  `json:"order_id"`
	SaleID    int64     `json:"sale_id"`
	ShopperID []byte    `json:"shopper_id"`
	MessageID []byte    `json:"message_id"`
}

func cursorOf(c order.DeadLetterCursor) string {
	text, _ := json.Marshal(letterCursor{c.At, c.OrderID, c.SaleID, []byte(c.ShopperID), []byte(c.MessageID)}) //nolint:errchkjson // numbers, bytes and a time of this age: it cannot fail
	return base64.RawURLEncoding.EncodeToString(text)
}

// deadLetterCursor reads the parameter cursor as cursorOf wrote it.
func (in *input) deadLetterCursor() order.DeadLetterCursor {
	if !in.query.Has("cursor") {
		return order.DeadLetterCursor{}
	}
	var c letterCursor
	text, err := base64.RawURLEncoding.DecodeString(in.query.Get("cursor"))
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil || c.At.IsZero() {
		in.fail(invalid("?cursor", "must be the next_cursor of a page"))
	}
	return order.DeadLetterCursor{At: c.At, OrderID: c.OrderID, SaleID: c.SaleID, ShopperID: string(c.ShopperID), MessageID: string(c.MessageID)}
}

func (h *Handler) showDeadLetter(_ http.ResponseWriter, r *http.Request) (any, error) {
	found, err := h.service.DeadLetter(r.Context(), admin.ParseMessageID(r.PathValue("id")))
	return listOf(found, admin.ViewDeadLetterBody), err
}

func (h *Handler) discardDeadLetter(_ http.ResponseWriter, r *http.Request) (any, error) {
	in := inputOf(r)
	c := in.call()
	if in.err != nil {
		return nil, in.err
	}
	n, err := h.service.Discard(r.Context(), c, admin.ParseMessageID(r.PathValue("id")))
	return map[string]int{"discarded": n}, err
}
