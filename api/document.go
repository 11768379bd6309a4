package api

import _ "embed"

//go:embed openapi.json
var document []byte

// OpenAPI returns the description of this API, as /openapi.json answers it.
// Nobody may write to it.
func OpenAPI() []byte { return document }
