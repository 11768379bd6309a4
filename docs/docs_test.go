// Package docs_test checks that the pages of this repository are true where a
// program can tell: links, anchors, names of tests, and what the HTTP API's page
// says of endpoints and problems.
package docs_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const repository = ".."

// files returns the files below the repository whose names end so, but hidden ones.
func files(t *testing.T, suffix string) (paths []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != repository && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case strings.HasSuffix(path, suffix):
			paths = append(paths, path)
		}
		return nil
	}))
	require.NotEmpty(t, paths)
	return paths
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

var ( //nolint:gochecknoglobals // compiled once
	fence   = regexp.MustCompile("(?ms)^```.*?^```$")
	target  = regexp.MustCompile(`\]\(([^)\s]+)\)|src="([^"]+)"`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	unnamed = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	shape   = regexp.MustCompile("(?m)^(#+|```[a-z]*|\\||[0-9]+\\.|-) ?")
	command = regexp.MustCompile("`((?:seckill|GET|POST|PATCH|scripts/)[^`]*)`")
	aTest   = regexp.MustCompile("`(Test[A-Z][A-Za-z0-9]+)(…?)`")
)

// anchors returns the names by which a page's headings are linked on GitHub.
func anchors(text string) (names []string) {
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		names = append(names, strings.ReplaceAll(unnamed.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return names
}

func TestEveryRelativeLinkLeadsSomewhere(t *testing.T) {
	t.Parallel()
	for _, page := range files(t, ".md") {
		text := fence.ReplaceAllString(read(t, page), "")
		for _, m := range target.FindAllStringSubmatch(text, -1) {
			link := m[1] + m[2]
			if strings.Contains(link, "://") {
				continue
			}
			path, anchor, _ := strings.Cut(link, "#")
			file := page
			if path != "" {
				file = filepath.Join(filepath.Dir(page), path)
			}
			_, err := os.Stat(file)
			require.NoError(t, err, "%s links to %s", page, link)
			if anchor != "" {
				require.Contains(t, anchors(read(t, file)), anchor, "%s links to %s", page, link)
			}
		}
	}
}

func TestEveryTestThatAPageNamesExists(t *testing.T) {
	t.Parallel()
	var code strings.Builder
	for _, file := range files(t, "_test.go") {
		code.WriteString(read(t, file))
	}
	for _, page := range files(t, ".md") {
		for _, m := range aTest.FindAllStringSubmatch(read(t, page), -1) {
			name := "func " + m[1]
			if m[2] == "" { // not cut off
				name += "("
			}
			require.Contains(t, code.String(), name, page)
		}
	}
}

// The languages of a page have the same headings, tables, lists and code blocks,
// and name the same commands, settings and paths.
func TestTheLanguagesOfAPageAgree(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("zh-CN/*.md")
	require.NoError(t, err)
	require.NotEmpty(t, pages)
	pairs := map[string]string{"../README.zh-CN.md": "../README.md"}
	for _, page := range pages {
		pairs[page] = filepath.Base(page)
	}
	for chinese, english := range pairs {
		for _, part := range []*regexp.Regexp{shape, command} {
			var of [2][]string
			for i, page := range []string{english, chinese} {
				for _, m := range part.FindAllStringSubmatch(read(t, page), -1) {
					of[i] = append(of[i], m[1])
				}
			}
			require.Equal(t, of[0], of[1], chinese)
		}
	}
}

func TestTheREADMEsAreShort(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		require.LessOrEqual(t, strings.Count(read(t, filepath.Join(repository, name)), "\n"), 150, name)
	}
}

// The tables of http-api.md, in each language, against the OpenAPI document.
func TestTheHTTPPageHasEveryEndpointAndProblem(t *testing.T) {
	t.Parallel()
	var document struct {
		Paths    map[string]map[string]any `json:"paths"`
		Problems []struct {
			Code       string `json:"code"`
			Status     int    `json:"status"`
			RetryAfter bool   `json:"retry_after"`
		} `json:"x-problems"`
	}
	require.NoError(t, json.Unmarshal([]byte(read(t, "../api/openapi.json")), &document))
	var endpoints, problems []string
	for path, operations := range document.Paths {
		for method := range operations {
			if method != "parameters" {
				endpoints = append(endpoints, strings.ToUpper(method)+" "+path)
			}
		}
	}
	for _, p := range document.Problems {
		retry := map[bool]string{true: "x"}[p.RetryAfter]
		problems = append(problems, p.Code+" "+strconv.Itoa(p.Status)+" "+retry)
	}
	pages, err := filepath.Glob("*/http-api.md")
	require.NoError(t, err)
	for _, page := range append(pages, "http-api.md") {
		text := read(t, page)
		var named, explained []string
		for _, m := range regexp.MustCompile("(?m)^\\| `((?:GET|POST) /[^`]*)` \\|").FindAllStringSubmatch(text, -1) {
			named = append(named, m[1])
		}
		for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| (\\d{3}) \\| ([^|\\s]*) ?\\|").FindAllStringSubmatch(text, -1) {
			retry := map[bool]string{true: "x"}[m[3] != ""]
			explained = append(explained, m[1]+" "+m[2]+" "+retry)
		}
		require.ElementsMatch(t, endpoints, named, page)
		require.ElementsMatch(t, problems, explained, page)
	}
}
