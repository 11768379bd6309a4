// Package model holds nothing but a test: an explicit-state model of the order
// protocol as it is built, every reachable state of small systems under bounded
// faults, and mutants of the protocol that it must catch. See README.md.
package model
