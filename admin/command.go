package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// NewCommand returns a name that no other command has.
func NewCommand() string { return "cmd-" + rand.Text() }

// commandID is the name of a command that is made of parts. Whatever an
// operator sends, it is never the name of a command of our own processes.
func CommandID(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return "key-" + hex.EncodeToString(sum[:20])
}
