package capabilities

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// The limit follows the first response to a batch that was encoded with it.
func TestBatchLimit(t *testing.T) {
	const maxOperations = 500
	for _, c := range []struct {
		name       string
		limit      BatchLimit
		sentWith   BatchLimit
		operations int
		refused    BatchLimit // the limit after a refusal
		answered   BatchLimit // the limit after an answer
	}{
		{name: "no limit", operations: 500, refused: 125, answered: 0},
		{name: "no limit, a small batch", operations: 3, refused: 2, answered: 0},
		{name: "a full batch", limit: 60, sentWith: 60, operations: 60, refused: 15, answered: 120},
		{name: "a batch over half the limit", limit: 60, sentWith: 60, operations: 31, refused: 7, answered: 62},
		{name: "a batch of half the limit", limit: 60, sentWith: 60, operations: 30, refused: 60, answered: 60},
		{name: "a late response of a larger batch", limit: 60, sentWith: 0, operations: 120, refused: 60, answered: 60},
		{name: "a late response of a small batch", limit: 60, sentWith: 30, operations: 30, refused: 60, answered: 60},
		{name: "the least limit", limit: 2, sentWith: 2, operations: 2, refused: 2, answered: 4},
		{name: "below the configured size", limit: 249, sentWith: 249, operations: 249, refused: 62, answered: 498},
		{name: "the configured size", limit: 250, sentWith: 250, operations: 250, refused: 62, answered: 0},
	} {
		refused := c.limit
		refused.Refused(c.sentWith, c.operations)
		answered := c.limit
		answered.Answered(c.sentWith, c.operations, maxOperations)
		assert.True(t, refused == c.refused && answered == c.answered,
			"%s: expected %d and %d, found %d and %d", c.name, c.refused, c.answered, refused, answered)
	}
}
