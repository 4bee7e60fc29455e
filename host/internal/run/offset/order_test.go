package offset

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/wit"
)

// The expected orders are those that OpenJDK 17 gave for HashMaps with these keys.
func TestOrderOfJava(t *testing.T) {
	for given, want := range map[string]string{
		"service,entityset":    "entityset,service",
		"id,service,entityset": "entityset,service,id",
		"url,record,next,digest,fingerprint,service,entityset": "next,entityset,service,record,digest,fingerprint,url",
		// 17 entries: 32 buckets
		"a,b,c,d,e,f,g,h,i,j,k,l,service,entityset,größe,topic,client": "a,b,c,entityset,d,e,f,g,h,i,j,k,l,größe,service,topic,client",
		"𝄞,größe,service,日本,id":                                        "𝄞,größe,service,日本,id",
	} {
		var partition []wit.Field
		for _, name := range strings.Split(given, ",") {
			partition = append(partition, wit.TextField(name, "x"))
		}
		var got []string
		for _, f := range inOrderOfJava(partition) {
			got = append(got, f.Name)
		}
		if strings.Join(got, ",") != want {
			t.Errorf("%s: expected %s, found %s", given, want, strings.Join(got, ","))
		}
		if partition[0].Name != strings.Split(given, ",")[0] {
			t.Errorf("%s was reordered in place", given)
		}
	}
}
