//go:build race

package model_test

// raceDetector makes the configurations smaller: it slows this down tenfold.
const raceDetector = true
