package api

import (
	"net/http"

	ours "seckill/internal/lang"
)

// lang is the language of an answer's texts.
type lang = ours.Lang

const (
	english   = ours.English
	chinese   = ours.Chinese
	languages = ours.Languages
)

// language returns the one of ours that Accept-Language prefers.
func language(r *http.Request) lang { return ours.Of(r) }
