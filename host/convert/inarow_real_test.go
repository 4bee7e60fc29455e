//go:build real

package convert

import (
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/record"
)

// near is a document that differs from another in little: a value, a name, the order of members, white space, or a part
// that is another document's.
func (g *generator) near(document, other string) string {
	swap := func(from, to string) string { return strings.Replace(document, from, to, 1+g.IntN(2)) }
	at := func(text string) int { return g.IntN(len(text) + 1) }
	switch g.IntN(16) {
	case 0:
		return swap(":", g.of(" :", ": ", ":\n"))
	case 1:
		return swap(`"payload":`, g.of(`"payload" :`, `"payload":null,"payload":`, `"payloae":`, `"p\u0061yload":`))
	case 2:
		return swap(`"a`, g.of(`"b`, `"\u0061`, `"a `, `"`))
	case 3:
		return swap("Größe", g.of("Grosse", "Gr\u00f6\u00dfe", `Gr\u00f6\u00dfe`, "Größf"))
	case 4:
		return swap(g.of("0", "1", "7", "true", "false"), g.of("null", "-0", "1e2", "12345678901234567890", `""`, "1.0",
			"{}",
			"0.5", "-1"))
	case 5:
		return swap(`true`, `false`)
	case 6:
		return swap(`int32`, g.of(`int64`, `int16`, "float"))
	case 7:
		return swap("}", g.of(" }", `,"a0":null}`, `,"x":1}`, "}}", ""))
	case 8: // the same number of bytes, another letter
		if i := at(document); i < len(document) && document[i] >= 'a' && document[i] <= 'z' {
			return document[:i] + string('a'+(document[i]-'a'+1)%26) + document[i+1:]
		}
	case 9: // the schema of one and the payload of the other
		schema, _, has := strings.Cut(document, `,"payload":`)
		_, payload, had := strings.Cut(other, `,"payload":`)
		if has && had {
			return schema + `,"payload":` + payload
		}
	case 10: // in the other order
		schema, payload, has := strings.Cut(document, `,"payload":`)
		if head := `{"schema":`; has && strings.HasPrefix(schema, head) {
			return `{"payload":` + strings.TrimSuffix(payload, "}") + `,"schema":` + schema[len(head):] + "}"
		}
	case 11:
		i := at(document)
		return document[:i] + g.of(" ", "", ",", `"`, "\x00", "\xc3") + document[min(i+g.IntN(2), len(document)):]
	case 12:
		return document[:at(document)]
	case 13:
		return other
	}
	return document
}

// A converter that has read and written other records makes of a document what a new one makes of it (which is compared
// to Kafka's elsewhere): nothing of the record before is left. CONVERT_SEED and CONVERT_CASES have others tried.
func TestRealDocumentsInARow(t *testing.T) {
	number := func(name string, byDefault uint64) uint64 {
		if n, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
			return n
		}
		return byDefault
	}
	seed := number("CONVERT_SEED", 0)
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 9))}
	all := oddCorpus(seed+1, int(number("CONVERT_CASES", 500)))
	fine, wrong := 0, 0
	for n, w := range all {
		if n == 0 {
			continue
		}
		b := &record.Batch{Registry: record.NewRegistry()}
		reader, err := New(ClassJSON, settingsOf(w.reader), Use{Schemas: b.Registry})
		if err != nil {
			continue
		}
		writer, err := New(ClassJSON, settingsOf(w.writer), Use{Schemas: b.Registry})
		require.NoError(t, err)
		base, other := w.document, all[n-1].document
		if g.in(3) {
			base = g.members(g.structure(), 1000)
			if !strings.Contains(w.reader, "schemas.enable=false") {
				base = `{"schema":null,"payload":` + base + "}"
			}
		}
		var before []string
		for range 40 {
			document := base
			for range g.IntN(4) {
				document = g.near(document, other)
			}
			before = append(before, document)
			w.document = document
			want, failed := w.rewritten(t.Context())
			got := ""
			d, err := reader.Decode(t.Context(), "t", []byte(document), b)
			if err == nil {
				out, null, failure := writer.Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
				if got, err = string(out), failure; null && err == nil {
					got = "(null)"
				}
			}
			if err == nil && failed == nil && got == want {
				fine++
				continue
			}
			if err == nil || failed == nil || err.Error() != failed.Error() {
				if wrong++; wrong < 20 {
					t.Errorf("reader %q, writer %q:\nalone      %.800s %v\nbehind others %.800s "+
						"%v\ndocuments:\n%.6000q", w.reader,
						w.writer, want, failed, got, err, before[max(0, len(before)-4):])
				}
			}
		}
	}
	t.Logf("%d documents, %d read and written, %d differ", len(all)*40, fine, wrong)
	if fine < len(all)*10 {
		t.Errorf("expected a quarter of the documents to be read and written, found %d of %d", fine, len(all)*40)
	}
}

// structure is the schema of a structure of several members.
func (g *generator) structure() *schema {
	for {
		if s := g.schema(2); s.Type == "struct" && len(s.Fields) > 2 {
			return s
		}
	}
}
