package transport

import "testing"

func TestShownLine(t *testing.T) {
	d := &destination{config: Config{Password: "hunter2 two", Headers: map[string]string{"apikey": "k3y+1", "sap-client": "1000"}, Identity: Identity{"u", "hunter2 two"}}}
	for line, want := range map[string]string{
		"/a/b": "/a/b",
		"/a?$filter=X%20eq%201&$format=json&sap-client=100":  "/a?$filter=X%20eq%201&$format=json&sap-client=100",
		"/a?subscription-key=abc&$top=1&flag":                "/a?subscription-key=[hidden]&$top=1&flag",
		"/a?%74oken=abc":                                     "/a?%74oken=[hidden]",
		"/a?%zz=abc":                                         "/a?[hidden]",
		"/a('hunter2%20two')?$filter=x%20eq%20'hunter2+two'": "/a('[hidden]')?$filter=x%20eq%20'[hidden]'",
		"/a?$search=k3y%2B1":                                 "/a?$search=[hidden]",
		"/x//user:pw@host/b":                                 "/x//[hidden]@host/b",
		"/Users('a@b')?$top=1":                               "/Users('a@b')?$top=1",
		"/a?sap-client=1000":                                 "/a?sap-client=1000",
	} {
		if got := without(shown(line), d.secrets(nil)); got != want {
			t.Errorf("%s: expected %s, found %s", line, want, got)
		}
	}
}
