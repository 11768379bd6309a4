//go:build !failpoint

package failpoint

import "context"

// Hit does nothing.
func Hit(context.Context, string) error { return nil }

// Broken is false.
func Broken(string) bool { return false }

// Script is source.
func Script(_, source string) string { return source }
