package uri

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
)

func TestQueryOn(t *testing.T) {
	const clientAndLanguage = Query("sap-client=100&sap-language=DE")
	for _, test := range []struct {
		query  Query
		target string
		want   string
	}{
		{"", "/S/A", "/S/A"},
		{"", "/S/A?$top=1", "/S/A?$top=1"},
		{clientAndLanguage, "/S/", "/S/?sap-client=100&sap-language=DE"},
		{clientAndLanguage, "/S/$metadata", "/S/$metadata?sap-client=100&sap-language=DE"},
		{"sap-client=100", "/S/A('x%3Fy')", "/S/A('x%3Fy')?sap-client=100"},
		{clientAndLanguage, "/S/A?", "/S/A?sap-client=100&sap-language=DE"},
		{clientAndLanguage, "/S/A?$top=1&$filter=N%20eq%20'sap-client%3D1'",
			"/S/A?$top=1&$filter=N%20eq%20'sap-client%3D1'&sap-client=100&sap-language=DE"},
		{clientAndLanguage, "/S/A?sap-client=200&$top=1", "/S/A?sap-client=200&$top=1&sap-language=DE"},
		{clientAndLanguage, "/S/A?SAP%2Dclient=200&sap-language=", "/S/A?SAP%2Dclient=200&sap-language="},
		{clientAndLanguage, "/S/A?x-sap-client=200", "/S/A?x-sap-client=200&sap-client=100&sap-language=DE"},
	} {
		found := test.query.AppendTo(test.target)
		assert.Equal(t, test.want, found, test.query, "on", test.target)
		assert.Equal(t, found, test.query.AppendTo(found), test.query, "twice on", test.target)
	}
}
