// This file is added to the package of odata-source. Its name sorts after main.go, so that its init runs later.
package main

import (
	"bytes"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/source"
	"github.com/culvert-project/culvert/wit"
)

// trapping is the plugin of odata-source, but panics on each row that contains poison, and deadlocks on each nested
// page that contains it.
type trapping struct{ plugin }

var poison = []byte("Poison")

func init() { source.Register(&trapping{}) }

func (p *trapping) Decode(number uint32, tag string, status uint16, piece []byte, last bool) (wit.DecodeResult, error) {
	if strings.HasPrefix(tag, "nested page") && bytes.Contains(piece, poison) {
		select {}
	}
	portion, err := p.plugin.Decode(number, tag, status, piece, last)
	for _, row := range portion.Rows {
		if bytes.Contains(portion.Data[row.Value.Start:][:row.Value.Size], poison) {
			panic("a row that holds " + string(poison))
		}
	}
	return portion, err
}
