package api

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// problemRow is a row of the table of problems in the OpenAPI document.
type problemRow struct {
	Code       string       `json:"code"`
	Status     int          `json:"status"`
	RetryAfter bool         `json:"retry_after"`
	English    problemTexts `json:"en"`
	Chinese    problemTexts `json:"zh-CN"`
}

type problemTexts struct {
	Title  string `json:"title"`
	Detail string `json:"detail"`
}

func TestTheDocumentListsEveryProblem(t *testing.T) {
	t.Parallel()
	var doc struct {
		Problems []problemRow `json:"x-problems"`
	}
	require.NoError(t, json.Unmarshal(OpenAPI(), &doc))
	want := make([]problemRow, 0, len(problems))
	for _, p := range problems {
		want = append(want, problemRow{p.Code, p.Status, p.RetryMin > 0, problemTexts{p.En.Title, p.En.Detail}, problemTexts{p.Zh.Title, p.Zh.Detail}})
	}
	require.Equal(t, want, doc.Problems, "x-problems in openapi.json is the table in problems.go")
}
