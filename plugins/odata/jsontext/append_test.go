package jsontext_test

import (
	"math"
	"strconv"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
)

func TestAppendInt(t *testing.T) {
	numbers := []int64{0, -1, math.MinInt64, math.MaxInt64, 1<<32 - 1, 1 << 32, 1<<32 + 1}
	for n := int64(1); n < math.MaxInt64/10; n *= 10 {
		numbers = append(numbers, n, n-1, n*9, -n)
	}
	for _, n := range numbers {
		assert.Equal(t, "x"+strconv.FormatInt(n, 10), string(jsontext.AppendInt([]byte("x"), n)))
	}
}
