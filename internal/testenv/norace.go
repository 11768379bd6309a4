//go:build !race

package testenv

// RaceDetector is true in a program built with -race.
const RaceDetector = false
