package web_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// vendored is a row of vendor.txt.
type vendored struct{ name, version, from, to, sum string }

func vendorTable(t *testing.T) (rows []vendored) {
	text, err := os.ReadFile("vendor.txt")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Fields(line)
		require.Len(t, f, 5, line)
		rows = append(rows, vendored{f[0], f[1], f[2], f[3], f[4]})
	}
	return rows
}

func TestVendoredFilesHaveTheirChecksums(t *testing.T) {
	t.Parallel()
	for _, row := range vendorTable(t) {
		body, err := os.ReadFile(row.to)
		require.NoError(t, err)
		if strings.HasSuffix(row.to, ".gz") {
			reader, err := gzip.NewReader(bytes.NewReader(body))
			require.NoError(t, err, row.to)
			body, err = io.ReadAll(reader)
			require.NoError(t, err, row.to)
		}
		sum := sha256.Sum256(body)
		require.Equal(t, row.sum, hex.EncodeToString(sum[:]), "%s is not %s of %s@%s: run scripts/vendor", row.to, row.from, row.name, row.version)
		require.Regexp(t, `^\d+\.\d+\.\d+$`, row.version, "an exact version")
	}
}

// Our files are shopper/page.* and docs/page.*; whatever stands in a folder
// below comes from npm.
func TestEveryLibraryIsInTheTableWithItsLicence(t *testing.T) {
	t.Parallel()
	listed := map[string]bool{}
	licensed := map[string]bool{}
	for _, row := range vendorTable(t) {
		listed[row.to] = true
		licensed[path.Dir(row.to)] = licensed[path.Dir(row.to)] || path.Base(row.to) == "LICENSE"
	}
	found := map[string]bool{}
	require.NoError(t, fs.WalkDir(os.DirFS("."), ".", func(name string, entry fs.DirEntry, err error) error {
		if strings.Count(name, "/") > 1 && !entry.IsDir() {
			found[name] = true
			require.True(t, licensed[path.Dir(name)], "%s has no LICENSE beside it", name)
		}
		return err
	}))
	require.Equal(t, listed, found)
}
