package paging

import (
	"regexp"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/plugins/odata/edm"
)

// dialectStep is the distance of the random services that are read in v4, too. The code is the same for both dialects.
const dialectStep = 6

// setDialect makes a set of v2 one of a service of a dialect.
func setDialect(set *Set, dialect *edm.Dialect) {
	set.Dialect = dialect
	if set.Keys != nil {
		set.Keys = integerKeys(dialect)
	}
}

// suffixOfV2 is the end of a literal of v2 in a request.
var suffixOfV2 = regexp.MustCompile(`(K%20..%20-?\d+)L`)

// checkSameRequests checks that a load of a set of v4 sent the requests of the same load of v2, in the terms of v4.
func checkSameRequests(t *testing.T, v2, v4 *service) {
	t.Helper()
	expected := suffixOfV2.ReplaceAllString(strings.Join(v2.requests, "\n"), "$1")
	expected = strings.ReplaceAll(expected, edm.V2.CountOption, edm.V4.CountOption)
	if requests := strings.Join(v4.requests, "\n"); requests != expected {
		t.Fatalf("%s: expected in v4 the requests of v2:\n%s\nfound\n%s", v4, expected, requests)
	}
}
