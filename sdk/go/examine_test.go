package sdk

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/wit"
)

func TestExamine(t *testing.T) {
	specs := []wit.SettingSpec{
		{Name: "port", Kind: wit.KindInt, Rules: []wit.Rule{{Required: wit.Chosen}, {AtLeast: wit.Ptr(int64(1))}, {AtMost: wit.Ptr(int64(65535))}}},
		{Name: "mode", DefaultValue: wit.Ptr("full"), Rules: []wit.Rule{{Allowed: &[]string{"full", "delta"}}, {Alias: wit.Ptr("track")}}},
		{Name: "secret", Kind: wit.KindPassword, Rules: []wit.Rule{{Allowed: &[]string{"x"}}}},
		{Name: "flag", Kind: wit.KindBoolean},
		{Name: "rate", Kind: wit.KindDouble},
		{Name: "short", Kind: wit.KindShort},
	}
	for _, c := range []struct {
		given []wit.Setting
		want  []string
	}{
		{[]wit.Setting{{Name: "port", Value: "443"}}, nil},
		{nil, []string{`Missing required configuration "port" which has no default value.`}},
		{[]wit.Setting{{Name: "port", Value: "0"}}, []string{"Invalid value 0 for configuration port: Value must be at least 1"}},
		{[]wit.Setting{{Name: "port", Value: "70000"}}, []string{"Invalid value 70000 for configuration port: Value must be no more than 65535"}},
		{[]wit.Setting{{Name: "port", Value: "x"}}, []string{"Invalid value x for configuration port: Not a number of type INT"}},
		{[]wit.Setting{{Name: "port", Value: "1"}, {Name: "track", Value: "DELTA"}}, nil},
		{[]wit.Setting{{Name: "port", Value: "1"}, {Name: "mode", Value: "half"}}, []string{"Invalid value half for configuration mode: String must be one of: full, delta"}},
		{[]wit.Setting{{Name: "port", Value: "1"}, {Name: "secret", Value: "hunter2"}}, []string{"Invalid value [hidden] for configuration secret: String must be one of: x"}},
		{[]wit.Setting{{Name: "port", Value: "1"}, {Name: "flag", Value: "yes"}}, []string{"Invalid value yes for configuration flag: Expected value to be either true or false"}},
		{[]wit.Setting{{Name: "port", Value: "1"}, {Name: "rate", Value: "fast"}}, []string{"Invalid value fast for configuration rate: Not a number of type DOUBLE"}},
		{[]wit.Setting{{Name: "port", Value: "1"}, {Name: "short", Value: "40000"}}, []string{"Invalid value 40000 for configuration short: Not a number of type SHORT"}},
	} {
		var got []string
		for _, e := range Examine(specs, c.given) {
			got = append(got, e.Errors...)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%v: %s", c.given, diff)
		}
	}
}
