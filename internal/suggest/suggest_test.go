package suggest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/internal/suggest"
)

func TestTheWordThatWasMeantIsFound(t *testing.T) {
	t.Parallel()
	known := []string{"open", "pause", "resume", "end", "restock", "void", "extend-pay"}
	for word, want := range map[string]string{
		"resum": " (did you mean resume?)", "opne": " (did you mean open?)", "VOID": " (did you mean void?)", "extend_pay": " (did you mean extend-pay?)",
		"rest": " (did you mean restock?)", "re": " (did you mean resume or restock?)", "ent": " (did you mean end?)",
		"x": "", "": "", "delete": "", "限量": "",
	} {
		require.Equal(t, want, suggest.Remark(word, known), word)
	}
}
