package telemetry

import "fmt"

// kindOf is the part of an error that may leave the process: the first known
// sentinel in it, or the type of its first leaf. Any other text may contain a shopper,
// a row or an address: fmt.Errorf makes texts of the same type as errors.New.
func kindOf(err error) string {
	var first error
	for leaf := range leaves(err) {
		if first == nil {
			first = leaf
		}
		if text := leaf.Error(); sentinels[text] {
			return text
		}
	}
	return fmt.Sprintf("%T", first)
}

// leaves yields the errors that wrap no other, in the order of errors.Is.
func leaves(err error) func(yield func(error) bool) {
	return func(yield func(error) bool) { visit(err, yield) }
}

func visit(err error, yield func(error) bool) bool {
	var inner []error
	switch wrapped := err.(type) { //nolint:errorlint // it goes through the chain itself
	case interface{ Unwrap() error }:
		inner = []error{wrapped.Unwrap()}
	case interface{ Unwrap() []error }:
		inner = wrapped.Unwrap()
	}
	leaf := true
	for _, e := range inner {
		if e == nil {
			continue
		}
		leaf = false
		if !visit(e, yield) {
			return false
		}
	}
	return !leaf || yield(err)
}

// sentinels are the texts of the errors that spans name, all of them constants. This
// package is below those that declare them, so it compares texts.
var sentinels = map[string]bool{
	"admin: a query needs a sale or a shopper; a reference needs a sale": true,
	"auth: token refused":                         true,
	"api: too many looks for sales":               true,
	"api: too many orders waiting":                true,
	"breaker: open":                               true,
	"consumer: stopped":                           true,
	"failpoint: injected error":                   true,
	"strictjson: malformed":                       true,
	"siteverify: too many checks in progress":     true,
	"strictjson: unknown field":                   true,
	"the sale is not one that is kept in Redis":   true,
	"siteverify: refused without a verdict":       true,
	"the file is empty":                           true,
	"the session is not as the protocol needs it": true,
	"there is no such limit":                      true,
	"too far from the server's time":              true, // of a callback
	"some tables are not InnoDB, so nothing that is written to them can be rolled back": true,

	"order: changed meanwhile":                              true,
	"lookup: closed":                                        true,
	"order: conflict":                                       true,
	"order: forged public ID":                               true,
	"order: invalid":                                        true,
	"order: malformed change":                               true,
	"order: message without a MAC":                          true,
	"order: message with a MAC of none of our keys":         true,
	"order: too many dead letters are stored, discard some": true,
	"stock: attempts used":                                  true,
	"stock: too soon after a return":                        true,
	"stock: permit spent":                                   true,
	"order: malformed message":                              true,
	"order: message of a newer version":                     true,
	"order: node ID used up, restart the process":           true,
	"order: not found":                                      true,
	"order: wrong amount or currency":                       true,
	"outcome unknown":                                       true, // of a COMMIT

	"queue: message not stored":             true,
	"queue: message stored or not, unknown": true,

	"rocketmq: bad options":                                 true,
	"rocketmq: not connected yet":                           true,
	"rocketmq: the client does not return":                  true,
	"rocketmq: the name servers know no broker":             true,
	"rocketmq: topic has no broker":                         true,
	"rocketmq: the broker does not have the consumer group": true,
	"rocketmq: the topic may not be used":                   true,

	"stock: busy": true,
	"stock: a message was published, and the subscriber did not get it": true,
	"stock: a reservation was not undone":                               true,
	"stock: key names an earlier order":                                 true,
	"stock: load incomplete":                                            true,
	"stock: outcome unknown":                                            true,
	"stock: purchase limit reached":                                     true,
	"stock: sale already loaded":                                        true,
	"stock: sale ended":                                                 true,
	"stock: sale not loaded":                                            true,
	"stock: sale not open yet":                                          true,
	"stock: sale paused":                                                true,
	"stock: sold out":                                                   true,
	"stock: unavailable":                                                true,
	"stock: unreadable reply":                                           true,

	// Of the standard library and of the clients of MySQL and Redis.
	"EOF":                               true,
	"context canceled":                  true,
	"context deadline exceeded":         true,
	"driver: bad connection":            true,
	"i/o timeout":                       true,
	"invalid connection":                true,
	"redis: client is closed":           true,
	"redis: connection pool timeout":    true,
	"redis: nil":                        true,
	"sql: connection is already closed": true,
	"sql: database is closed":           true,
	"sql: no rows in result set":        true,
	"sql: transaction has already been committed or rolled back": true,
	"unexpected EOF":                   true,
	"use of closed network connection": true,
}
