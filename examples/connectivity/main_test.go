package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
)

// Invalid flags are reported with what is expected.
func TestOptionsAreChecked(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.json")
	require.NoError(t, os.WriteFile(broken, []byte(`{"URL": 1}`), 0o600))
	for _, c := range []struct {
		name    string
		options options
		want    string
	}{
		{name: "valid", options: options{
			mappings: texts{
				"kafka.virtual:9092=127.0.0.1:9092",
				"s4.virtual:443=https://127.0.0.1:8443",
				"DE/a:1=b:2",
			},
			locations:    texts{"DE"},
			destinations: texts{"S4=s4.json"},
		}},
		{name: "no port", options: options{mappings: texts{"kafka.virtual=127.0.0.1:9092"}},
			want: "expected VIRTUAL:PORT=REAL:PORT"},
		{name: "no real address", options: options{mappings: texts{"kafka.virtual:9092"}},
			want: "expected VIRTUAL:PORT=REAL:PORT"},
		{name: "unknown location", options: options{mappings: texts{"DE/kafka.virtual:9092=127.0.0.1:9092"}},
			want: "expected --location DE"},
		{name: "no file", options: options{destinations: texts{"S4"}}, want: "expected NAME=FILE"},
		{name: "missing file", options: options{destinations: texts{"S4=nowhere.json"}}, want: "nowhere.json"},
		{name: "wrong file", options: options{destinations: texts{"S4=" + broken}},
			want: "expected an object of texts"},
	} {
		s := connectivitytest.NewUnstartedServer()
		err := c.options.apply(s)
		s.Close()
		if (c.want == "" && err != nil) || (c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want))) {
			t.Errorf("%s: expected %q, found %v", c.name, c.want, err)
		}
	}
}
