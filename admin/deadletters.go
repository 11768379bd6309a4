package admin

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"seckill/order"
)

// deadLetters reads and deletes dead letters.
type deadLetters interface {
	DeadLetters(ctx context.Context, q order.DeadLetterQuery) ([]order.DeadLetter, error)
	DeadLettersNamed(ctx context.Context, name string) ([]order.DeadLetter, error)
	DiscardAs(ctx context.Context, by order.Operator, cmd string, d order.DeadLetter) error
}

// DeadLetters returns dead letters, newest first.
func (s *Service) DeadLetters(ctx context.Context, q order.DeadLetterQuery) ([]order.DeadLetter, error) {
	return ask(ctx, func(ctx context.Context) ([]order.DeadLetter, error) {
		return s.deadLetters.DeadLetters(ctx, q)
	})
}

// DeadLetter returns the dead letters of a message ID and, where it is the decimal
// ID of an order, the verdicts on that order. The error is order.ErrNotFound.
func (s *Service) DeadLetter(ctx context.Context, name string) ([]order.DeadLetter, error) {
	return ask(ctx, func(ctx context.Context) ([]order.DeadLetter, error) {
		found, err := s.deadLetters.DeadLettersNamed(ctx, name)
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("dead letter %q: %w", name, order.ErrNotFound)
		}
		return found, err
	})
}

// Discard deletes the messages of that ID that could not be read, and returns
// how many. A verdict is never deleted: order.ErrConflict.
func (s *Service) Discard(ctx context.Context, c Call, name string) (int, error) {
	found, err := s.DeadLetter(ctx, name)
	if err != nil {
		return 0, err
	}
	discarded := 0
	for _, d := range found {
		if d.IsVerdict() {
			continue
		}
		_, err := ask(ctx, func(ctx context.Context) (int, error) { return 0, s.deadLetters.DiscardAs(ctx, c.By, c.Command, d) })
		if err != nil && !errors.Is(err, order.ErrNotFound) { // somebody else was quicker
			return discarded, err
		}
		discarded++
	}
	if discarded == 0 {
		return 0, fmt.Errorf("%w: the dead letter is the verdict on order %d (%s): polls and the sweeper read it, it stays", order.ErrConflict, found[0].OrderID, found[0].Reason)
	}
	return discarded, nil
}

// DeadLetterView is the JSON of a dead letter. A message ID that is not text is
// quoted as a Go string; ParseMessageID reads it.
type DeadLetterView struct {
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

// ViewDeadLetter is d without its body.
func ViewDeadLetter(d order.DeadLetter) DeadLetterView {
	return DeadLetterView{
		MessageID: Printable(d.MessageID), OrderID: FormatID(int64(d.OrderID)), SaleID: FormatID(d.SaleID),
		ShopperID: Printable(d.ShopperID), Reason: Printable(d.Reason), Verdict: d.IsVerdict(),
		CreatedAt: d.CreatedAt, Size: len(d.Body),
	}
}

// ViewDeadLetterBody is d with its body.
func ViewDeadLetterBody(d order.DeadLetter) DeadLetterView {
	v := ViewDeadLetter(d)
	v.Detail, v.Body = Printable(d.Detail), hex.EncodeToString(d.Body)
	if o, err := order.DecodeMessage(d.Body); err == nil {
		v.Decoded = &MessageView{o.ID.String(), FormatID(o.SaleID), o.ShopperID, o.Slot, o.Quantity, "", o.Reference}
		if o.Key != 0 {
			v.Decoded.Key = fmt.Sprintf("%016x", o.Key)
		}
	}
	return v
}

// FormatID returns an ID in decimal, and nothing for 0, which stands for none.
func FormatID(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// ParseMessageID reads a message ID as a DeadLetterView has it.
func ParseMessageID(s string) string {
	if raw, err := strconv.Unquote(s); err == nil && s[0] == '"' {
		return raw
	}
	return s
}

// Printable quotes a text that could harm a terminal, or that is not UTF-8.
func Printable(s string) string {
	if q := strconv.QuoteToASCII(s); q != `"`+s+`"` {
		return q
	}
	return s
}
