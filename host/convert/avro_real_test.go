//go:build real

package convert

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// optionsOfAvro are those of ours that AvroDataConfig of the fork has.
var optionsOfAvro = []string{"", "", "enhanced.avro.schema.support=true", "connect.meta.data=false",
	"enhanced.avro.schema.support=true connect.meta.data=false", "scrub.invalid.names=true",
	"allow.optional.map.keys=true", "scrub.invalid.names=true enhanced.avro.schema.support=true",
	"ignore.default.for.nullables=true"}

// Values of all types, under all options, become what AvroData makes of them: the same schema and the same bytes; and
// its bytes become the same document again. Apicurio's registry-utils-converter holds a fork of Confluent's AvroData,
// which is not on Maven Central.
func TestRealAvro(t *testing.T) {
	all := avroCorpus(4000)
	var lines []string
	for i, document := range all {
		lines = append(lines, optionsOfAvro[i%len(optionsOfAvro)]+"\t"+document)
	}
	answers := ask(t, "avro", "Avro.java", lines)
	refused, redefined, longer, wrong := 0, 0, 0, 0
	for i, document := range all {
		ours := avroOf(t, optionsOfAvro[i%len(optionsOfAvro)], document)
		if strings.HasPrefix(answers[i], "!") {
			refused++
			switch {
			case strings.Contains(answers[i], "Can't redefine"):
				// Ours numbers the second type of a name.
				redefined++
				continue
			case strings.HasPrefix(ours[0], "!"):
				continue
			}
		}
		kafkas := strings.Split(answers[i], "\t")
		if len(kafkas) != 3 {
			kafkas = append(kafkas, "", "", "")[:3]
		}
		if strings.Contains(kafkas[0], `"items":"MapEntry"`) && strings.Contains(ours[0], "MapEntry_2") {
			// AvroData takes entries of another type for the first ones, and cannot read what it wrote.
			redefined++
			continue
		}
		if (sameJSON(kafkas[0], ours[0]) || sameButDigits(kafkas[0], ours[0])) && kafkas[1] == ours[1] {
			if sameJSON(kafkas[2], ours[2]) || strings.HasPrefix(kafkas[2], "!") && strings.HasPrefix(ours[2], "!") {
				continue
			}
			if sameButDigits(kafkas[2], ours[2]) {
				longer++
				continue
			}
		}
		if wrong++; wrong <= 15 {
			t.Errorf("%s document %s\nAvroData %s\nours     %s", optionsOfAvro[i%len(optionsOfAvro)], document,
				strings.Join(kafkas, "\n         "),
				strings.Join(ours, "\n         "))
		}
	}
	t.Logf("%d documents, %d refused by AvroData, %d of them for a name twice, %d with a number of more digits, %d "+
		"differ", len(all), refused, redefined, longer, wrong)
	if refused > len(all)/3 {
		t.Errorf("expected few documents to be refused, found %d of %d", refused, len(all))
	}
}

// avroCorpus is documents with schemas by chance, always the same.
func avroCorpus(n int) (all []string) {
	g := &generator{Rand: rand.New(rand.NewPCG(3, 4))}
	// AvroData takes a name that stands inside itself for a cycle, and two types of one name are refused by Avro: each
	// has its own.
	numbered := 0
	var named func(s *schema)
	named = func(s *schema) {
		if s == nil {
			return
		}
		if s.Name != "" && !strings.HasPrefix(s.Name, logical) {
			s.Name = fmt.Sprint(g.of("M", "a.b.C", "Größe", "b.ä"), numbered)
			numbered++
		}
		if i := slices.Index([]string{"a", "Größe", "x.y", `q"`, "_1", "<&>"}, strings.TrimRight(s.Field,
			"0123456789")); i >= 0 {
			s.Field = []string{"a", "Größe", "xy", "q", "_1", "B"}[i] + s.Field[len(strings.TrimRight(s.Field,
				"0123456789")):]
		}
		if s.Items != nil && s.Items.Type == "double" {
			s.Items.Type, s.Items.Default, s.Default = "int64", nil, nil // Avro 1.12 reads them as float
		}
		for _, below := range append([]*schema{s.Items, s.Keys, s.Values}, s.Fields...) {
			named(below)
		}
	}
	for len(all) < n {
		s := g.schema(3)
		named(s)
		g.odd = false
		value := g.value(s, 1000)
		if g.odd || strings.Contains(s.String(), `"default":null`) {
			continue
		}
		all = append(all, fmt.Sprintf(`{"schema":%s,"payload":%s}`, s, value))
	}
	return all
}
