package responses

import "testing"

// The warning about rows without results says what happens to which of them.
func TestConsequencesOfMissingResults(t *testing.T) {
	for want, missing := range map[string]missingResults{
		"3 are sent again":                                                   {repeated: 3},
		"2 must not be repeated and are in doubt":                            {inDoubt: 2},
		"3 are sent again, 2 must not be repeated and are in doubt":          {repeated: 3, inDoubt: 2},
		"3 are sent again in smaller batches until the failing row is alone": {repeated: 3, answersAll: true},
		"1 must not be repeated and are in doubt":                            {inDoubt: 1, answersAll: true},
		"3 are sent again in smaller batches until the failing row is alone, " +
			"2 must not be repeated and are in doubt": {repeated: 3, inDoubt: 2, answersAll: true},
	} {
		if found := missing.consequences(); found != want {
			t.Errorf("expected %q, found %q", want, found)
		}
	}
}
