package api

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// told is a row of the document's table of problems.
type told struct {
	Code       string    `json:"code"`
	Status     int       `json:"status"`
	RetryAfter bool      `json:"retry_after"`
	English    toldTexts `json:"en"`
	Chinese    toldTexts `json:"zh-CN"`
}

type toldTexts struct {
	Title  string `json:"title"`
	Detail string `json:"detail"`
}

func TestTheDocumentTellsOfEveryProblem(t *testing.T) {
	t.Parallel()
	var doc struct {
		Problems []told `json:"x-problems"`
	}
	require.NoError(t, json.Unmarshal(OpenAPI(), &doc))
	want := make([]told, 0, len(problems))
	for _, p := range problems {
		want = append(want, told{p.Code, p.Status, p.RetryMin > 0, toldTexts{p.En.Title, p.En.Detail}, toldTexts{p.Zh.Title, p.Zh.Detail}})
	}
	require.Equal(t, want, doc.Problems, "x-problems in openapi.json is the table in problems.go")
}
