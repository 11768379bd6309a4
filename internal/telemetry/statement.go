package telemetry

import (
	"context"
	"strings"
)

// Statement begins the span of an SQL statement inside the one of ctx, if there
// is one. Its text stays out: one for 256 orders is long. The span names what
// the statement does to which table.
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

// summary returns the first word of a statement and the table that follows
// INTO, FROM or UPDATE.
func summary(query string) (operation, table string) {
	words := strings.Fields(query)
	for i, w := range words[:max(0, len(words)-1)] {
		switch strings.ToUpper(w) {
		case "INTO", "FROM", "UPDATE":
			return strings.ToUpper(words[0]), strings.Trim(words[i+1], "(`,;")
		}
	}
	if len(words) > 0 {
		operation = strings.ToUpper(words[0])
	}
	return operation, ""
}
