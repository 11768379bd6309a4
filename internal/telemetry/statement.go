package telemetry

import (
	"context"
	"strings"
)

// Statement starts the span of an SQL statement inside that of ctx, if there is
// one. The span has the operation and the table, not the text: a statement for 256
// orders is long.
func Statement(ctx context.Context, query string) (context.Context, Span) {
	if !Current(ctx).On() {
		return ctx, Span{}
	}
	operation, table := summary(query)
	name := strings.TrimSpace(operation + " " + table)
	ctx, span := Start(ctx, name, Client)
	span.Text("db.system.name", "mysql")
	span.Text("db.operation.name", operation)
	span.Text("db.query.summary", name)
	if table != "" {
		span.Text("db.collection.name", table)
	}
	return ctx, span
}

// summary returns the first word of a statement and the first table after
// INTO, FROM or UPDATE. The beginning of a long statement, which repeats a group
// for each order, is enough.
func summary(query string) (operation, table string) {
	words := strings.Fields(query[:min(len(query), 1024)])
	if len(words) == 0 {
		return "", ""
	}
	for i, w := range words[:len(words)-1] {
		switch w {
		case "INTO", "FROM", "UPDATE":
			if next := words[i+1]; next[0] != '(' { // not a subquery
				return words[0], strings.TrimRight(next, ",)")
			}
		}
	}
	return words[0], ""
}
