//go:build real

package convert

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/convert/registered"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit/java"
)

// Schemas of all types are written to the byte as the library writes them in which Confluent's JsonSchemaConverter
// holds them, and what is written by them is valid; the class itself is not on Maven Central.
func TestRealJSONSchemas(t *testing.T) {
	g := &generator{Rand: rand.New(rand.NewPCG(5, 6))}
	var written [][2]string
	var lines []string
	for len(written) < 2000 {
		s := g.schema(3)
		g.odd = false
		value := g.value(s, 1000)
		if g.odd {
			continue
		}
		b := &record.Batch{Registry: record.NewRegistry()}
		d, err := newConverter(t, ClassJSON, b.Registry, "replace.null.with.default", "false").Decode(t.Context(), "t",
			fmt.Appendf(nil, `{"schema":%s,"payload":%s}`, s, value), b)
		if err != nil || b.Bytes(d) == nil {
			continue
		}
		c, text := newRemembering(t, ClassJSONSchema, b.Registry)
		out, _, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		one := [2]string{*text, string(out[registered.IDBytes:])}
		written = append(written, one)
		lines = append(lines, one[0]+"\t"+one[1])
	}
	answers := ask(t, "jsonschema", "JsonSchema.java", lines)
	wrong := 0
	for i, one := range written {
		text, verdict, _ := strings.Cut(answers[i], "\t")
		if inPlaces(t, text) == inPlaces(t, one[0]) && verdict == "valid" {
			continue
		}
		if wrong++; wrong <= 15 {
			t.Errorf("document %s\nours   %s\neverit %s\n%s", one[1], one[0], text, verdict)
		}
	}
	t.Logf("%d schemas, %d differ", len(written), wrong)
}

// inPlaces is a JSON text of which names that share a place of a hash table stand in the order of their letters: their
// order says where they came from, which is another place here than in Confluent's converter.
func inPlaces(t *testing.T, text string) string {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	out, err := ordered(d)
	if err != nil {
		return text
	}
	return out
}

func ordered(d *json.Decoder) (string, error) {
	token, err := d.Token()
	if err != nil {
		return "", err
	}
	open, is := token.(json.Delim)
	if !is {
		text, err := json.Marshal(token)
		return string(text), err
	}
	var items, names []string
	for d.More() {
		name := ""
		if open == '{' {
			token, err := d.Token()
			if err != nil {
				return "", err
			}
			name = token.(string)
		}
		item, err := ordered(d)
		if err != nil {
			return "", err
		}
		names, items = append(names, name), append(items, strconv.Quote(name)+item)
	}
	if _, err := d.Token(); err != nil {
		return "", err
	}
	mask := uint32(java.GrownTable(16, len(names)) - 1)
	for i := range items { // few names: the simplest sort that moves none past one of another place
		for k := i; k > 0 && open == '{' && java.Hash(names[k])&mask == java.Hash(names[k-1])&mask &&
			names[k] < names[k-1]; k-- {
			names[k], names[k-1], items[k], items[k-1] = names[k-1], names[k], items[k-1], items[k]
		}
	}
	return fmt.Sprint(open, items), nil
}
