package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
)

func TestOptionsAreChecked(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.json")
	if err := os.WriteFile(broken, []byte(`{"URL": 1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		o    options
		want string
	}{
		{"good", options{mappings: texts{"kafka.virtual:9092=127.0.0.1:9092", "s4.virtual:443=https://127.0.0.1:8443",
			"DE/a:1=b:2"}, locations: texts{"DE"}, destinations: texts{"S4=s4.json"}}, ""},
		{"no port", options{mappings: texts{"kafka.virtual=127.0.0.1:9092"}}, "expected VIRTUAL:PORT=REAL:PORT"},
		{"no real address", options{mappings: texts{"kafka.virtual:9092"}}, "expected VIRTUAL:PORT=REAL:PORT"},
		{"unknown location", options{mappings: texts{"DE/kafka.virtual:9092=127.0.0.1:9092"}},
			"expected --location DE"},
		{"no file", options{destinations: texts{"S4"}}, "expected NAME=FILE"},
		{"missing file", options{destinations: texts{"S4=nowhere.json"}}, "nowhere.json"},
		{"wrong file", options{destinations: texts{"S4=" + broken}}, "expected an object of texts"},
	} {
		s := connectivitytest.NewUnstartedServer()
		err := c.o.apply(s)
		s.Close()
		if (c.want == "" && err != nil) || (c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want))) {
			t.Errorf("%s: expected %q, found %v", c.name, c.want, err)
		}
	}
}
