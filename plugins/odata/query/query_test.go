package query

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/plugins/odata/edm"
)

// An option that a setting sets must not be among the user's own options, in any spelling of its name.
func TestOwnOptionsRejectDuplicates(t *testing.T) {
	for raw, wantError := range map[string]string{
		"$filter=A eq 1":                  "", // "" means no error
		" %24Filter=A eq 1&x=1":           "",
		"x=1":                             "",
		"$filter=A&%24filter=B":           "expected one $filter, found two",
		"$select=A&$Select=A":             "expected one $select, found two",
		"$expand=&%24expand=":             "expected one $expand, found two",
		"$filter=&$filter=":               "expected one $filter, found two",
		"$top=1":                          "it holds $top",
		" %24skip =1":                     "it holds $skip",
		"x=1&$ORDERBY=A":                  "it holds $ORDERBY",
		"$format=json":                    "it holds $format",
		"$inlinecount=none":               "it holds $inlinecount",
		"$skiptoken=1":                    "it holds $skiptoken",
		"sap-client=200":                  "it holds sap-client, which does not reach all requests",
		"x=1&SAP-Language=DE":             "it holds SAP-Language",
		"$select=A":                       "expected $select in p.select or here, found both",
		"$expand=B":                       "expected $expand in p.expand or here, found both",
		"sap-statistics=false&search=a b": "",
	} {
		settings := Settings{Prefix: "p.", Raw: raw}
		if strings.Contains(wantError, "both") {
			settings.Select = []string{"A"}
			settings.Expand = []string{"B"}
		}
		query, err := Compile(settings, &edm.Model{}, &edm.StructuredType{Name: "T",
			Properties: []edm.Property{{Name: "A"}}})
		hasFilter := strings.Contains(strings.ToLower(raw), "filter")
		switch {
		case wantError != "" && (err == nil || !strings.Contains(err.Error(), wantError)):
			t.Errorf("%s: expected %q, found %v", raw, wantError, err)
		case wantError == "" && err != nil:
			t.Errorf("%s: expected no error, found %v", raw, err)
		case err == nil && (query.Selects() != hasFilter || settings.Filters() != hasFilter):
			t.Errorf("%s: unexpected options and filters %v and %v", raw, query.Selects(), settings.Filters())
		}
	}
}
