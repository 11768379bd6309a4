//go:build race

package testenv

// RaceDetector is true in a program built with -race, which runs three to ten
// times slower: a test may then do less.
const RaceDetector = true
