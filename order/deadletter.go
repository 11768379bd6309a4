package order

import (
	"errors"
	"fmt"
	"time"
)

// DeadLetter is a message that is no order of ours or cannot be read or, with an empty
// MessageID, the verdict on an order that can have no row.
type DeadLetter struct {
	MessageID string
	OrderID   ID    // 0 where unknown
	SaleID    int64 // 0 where unknown
	ShopperID string
	Reason    string
	Detail    string // for the operator
	Body      []byte
	CreatedAt time.Time // set by the store
}

// VerdictDeadLetter is the dead letter of a verdict that can have no row.
func VerdictDeadLetter(v Verdict, detail string, body []byte) DeadLetter {
	return DeadLetter{OrderID: v.ID, SaleID: v.SaleID, ShopperID: v.ShopperID, Reason: string(v.Reason), Detail: detail, Body: body}
}

// CheckDiscard returns ErrConflict for a verdict, which must stay.
func (d DeadLetter) CheckDiscard() error {
	if d.IsVerdict() {
		return fmt.Errorf("%w: this dead letter is the verdict on order %d", ErrConflict, d.OrderID)
	}
	return nil
}

// Sizes of the columns. A dead letter is cut to fit, because no store may refuse it.
const (
	maxMessageIDSize = 128
	maxReasonSize    = 32
	maxDetailSize    = 512
	maxBodySize      = 1<<16 - 1
)

// Fitted returns d with each field cut to the size of its column.
func (d DeadLetter) Fitted() DeadLetter {
	d.MessageID = head(d.MessageID, maxMessageIDSize)
	d.ShopperID = head(d.ShopperID, MaxShopperID)
	d.Reason = head(d.Reason, maxReasonSize)
	d.Detail = head(d.Detail, maxDetailSize)
	d.Body = d.Body[:min(len(d.Body), maxBodySize)]
	return d
}

func head(s string, n int) string { return s[:min(len(s), n)] }

// MaxStoredDeadLetters is how many dead letters of messages a store keeps, so that a flood
// of them does not fill a disk. Several processes together may exceed it a little.
const MaxStoredDeadLetters = 10_000

// ErrFull is the error of a message that comes when there are MaxStoredDeadLetters. A
// verdict is stored nevertheless.
var ErrFull = errors.New("order: too many dead letters are stored, discard some")

// MaxDeadLetters is how many dead letters DeadLettersNamed returns.
const MaxDeadLetters = 100

// DeadLetterCount is the number of dead letters.
type DeadLetterCount struct {
	Messages int // refused messages; operators discard them
	Verdicts int // on orders that can have no row; they stay
}

// IsVerdict reports whether d is the verdict on its order, which polls and the
// sweeper read, and not just a message.
func (d DeadLetter) IsVerdict() bool { return d.MessageID == "" && d.OrderID != 0 }

// DeadLetterQuery selects dead letters, newest first.
type DeadLetterQuery struct {
	SaleID int64            // 0: of all sales
	After  DeadLetterCursor // of the last one of the page before; zero: from the newest
	Limit  int
}

// DeadLetterCursor is the position of a dead letter in their list.
type DeadLetterCursor struct {
	At        time.Time
	OrderID   ID
	SaleID    int64
	ShopperID string
	MessageID string
}

// Cursor returns the position of d.
func (d DeadLetter) Cursor() DeadLetterCursor {
	return DeadLetterCursor{d.CreatedAt, d.OrderID, d.SaleID, d.ShopperID, d.MessageID}
}
