package config

import "seckill/internal/suggest"

// didYouMean returns the settings whose names are nearly that name, as a remark; empty
// if there are none.
func didYouMean(name string, nameOf func(Setting) string) string {
	var known []string
	for _, s := range Settings() {
		known = append(known, nameOf(s))
	}
	return suggest.Remark(name, known)
}

func keyOf(s Setting) string { return s.Key }
