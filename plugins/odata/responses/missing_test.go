package responses

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// The warning about rows without results contains how many of them are sent again, and how many are in doubt.
func TestConsequencesOfMissingResults(t *testing.T) {
	for want, missing := range map[string]missingResults{
		"3 are sent again":                                                   {repeatedCount: 3},
		"2 must not be repeated and are in doubt":                            {inDoubtCount: 2},
		"3 are sent again, 2 must not be repeated and are in doubt":          {repeatedCount: 3, inDoubtCount: 2},
		"3 are sent again in smaller batches until the failing row is alone": {repeatedCount: 3, answersAll: true},
		"1 must not be repeated and are in doubt":                            {inDoubtCount: 1, answersAll: true},
		"3 are sent again in smaller batches until the failing row is alone, " +
			"2 must not be repeated and are in doubt": {repeatedCount: 3, inDoubtCount: 2, answersAll: true},
	} {
		assert.Equal(t, want, missing.consequences())
	}
}
