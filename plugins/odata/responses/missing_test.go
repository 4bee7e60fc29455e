package responses

import "testing"

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
		if found := missing.consequences(); found != want {
			t.Errorf("expected %q, found %q", want, found)
		}
	}
}
