//go:build real

package e2etest

import (
	"encoding/json"
	"strings"
)

// Documents are a topic's records as `culvert consume` prints them, numbers to the letter.
func (p *Place) Documents(topic string, where ...string) []map[string]any {
	p.T.Helper()
	r := p.Run(append([]string{"consume", topic}, where...)...)
	if r.Code != 0 {
		p.T.Fatalf("consume %s: exit %d\n%s", topic, r.Code, r.Stderr)
	}
	var all []map[string]any
	d := json.NewDecoder(strings.NewReader(r.Stdout))
	d.UseNumber()
	for d.More() {
		var one map[string]any
		NoError(p.T, d.Decode(&one))
		all = append(all, one)
	}
	return all
}
