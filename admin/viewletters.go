package admin

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"seckill/order"
)

// LetterView is a dead letter as a program reads it. A message ID of bytes that
// are no text is quoted, as Go does; ParseMessageID reads it.
type LetterView struct {
	MessageID string       `json:"message_id"`
	OrderID   string       `json:"order_id,omitempty"`
	SaleID    string       `json:"sale_id,omitempty"`
	ShopperID string       `json:"shopper_id,omitempty"`
	Reason    string       `json:"reason"`
	Verdict   bool         `json:"verdict"`
	CreatedAt time.Time    `json:"created_at"`
	Size      int          `json:"size"`
	Detail    string       `json:"detail,omitempty"`
	Body      string       `json:"body_hex,omitempty"`
	Decoded   *MessageView `json:"decoded,omitempty"`
}

// MessageView is the order that the body of a dead letter holds.
type MessageView struct {
	OrderID   string `json:"order_id"`
	SaleID    string `json:"sale_id"`
	ShopperID string `json:"shopper_id"`
	Slot      int    `json:"slot"`
	Quantity  int    `json:"quantity"`
	Key       string `json:"key,omitempty"`
	Reference string `json:"reference,omitempty"`
}

// ViewLetter is d without its body.
func ViewLetter(d order.DeadLetter) LetterView {
	return LetterView{
		MessageID: Printable(d.MessageID), OrderID: FormatID(int64(d.OrderID)), SaleID: FormatID(d.SaleID),
		ShopperID: Printable(d.ShopperID), Reason: Printable(d.Reason), Verdict: d.IsVerdict(),
		CreatedAt: d.CreatedAt, Size: len(d.Body),
	}
}

// ViewWhole is d with all that it holds.
func ViewWhole(d order.DeadLetter) LetterView {
	v := ViewLetter(d)
	v.Detail, v.Body = Printable(d.Detail), hex.EncodeToString(d.Body)
	if o, err := order.DecodeMessage(d.Body); err == nil {
		v.Decoded = &MessageView{o.ID.String(), FormatID(o.SaleID), o.ShopperID, o.Slot, o.Quantity, "", o.Reference}
		if o.Key != 0 {
			v.Decoded.Key = fmt.Sprintf("%016x", o.Key)
		}
	}
	return v
}

func FormatID(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// ParseMessageID reads a message ID as a LetterView has it.
func ParseMessageID(s string) string {
	if raw, err := strconv.Unquote(s); err == nil && s[0] == '"' {
		return raw
	}
	return s
}

// Printable quotes what would do harm to a terminal or is no text.
func Printable(s string) string {
	if q := strconv.QuoteToASCII(s); q != `"`+s+`"` {
		return q
	}
	return s
}
