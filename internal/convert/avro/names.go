package avro

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/wit"
)

// nameOf returns a node's name, or one that it invents, the same for equal types.
func (w *schemaWriter) nameOf(n *wit.SchemaNode, id uint32) string {
	if n.Name != nil {
		return *n.Name
	}
	if name := w.unnamed[w.digests[id]]; name != "" {
		return name
	}
	w.anonymous++
	name := namespace + "." + defaultName
	if w.anonymous > 1 {
		name += strconv.Itoa(w.anonymous)
	}
	w.unnamed[w.digests[id]] = name
	return name
}

// define registers a named type; seen means that the schema contains it already. AvroData fails on two types with one
// name; here the second gets a number after its name, and `connect.name` keeps the name.
func (w *schemaWriter) define(name string, digest [sha256.Size]byte) (full string, seen bool) {
	parts := strings.Split(trimEmptyNamespace(name), ".")
	for i, part := range parts {
		// AvroData scrubs only the last part, and writes namespaces that Avro cannot read. These are scrubbed here.
		if last := i == len(parts)-1; last || checkName(part) != nil {
			parts[i] = w.scrub(part)
		}
		if err := checkName(parts[i]); err != nil {
			w.Fail(fault.New(schemaParseException, "the name "+fault.Quoted(name)+": "+err.Error()))
		}
	}
	name = strings.Join(parts, ".")
	full = name
	for number := 2; ; number++ {
		existing, ok := w.defined[full]
		if !ok {
			w.defined[full] = digest
			return full, false
		}
		if existing == digest {
			return full, true
		}
		full = name + "_" + strconv.Itoa(number)
	}
}

func namespaceOf(full string) string {
	if dot := strings.LastIndexByte(full, '.'); dot >= 0 {
		return full[:dot]
	}
	return ""
}

// beginDefinition writes the type, name and namespace of a named type in the namespace space.
func (w *schemaWriter) beginDefinition(kind, full, space string) {
	w.Raw(`{"type":"`, kind, `"`)
	w.Text(`,"name":`, conversion.SimpleName(full))
	if typeNamespace := namespaceOf(full); typeNamespace != space {
		w.Text(`,"namespace":`, typeNamespace)
	}
}

// replaceWithName replaces a repeated definition, which begins at start, with the name of the type.
func (w *schemaWriter) replaceWithName(start int, full, space string) {
	if namespaceOf(full) == space {
		full = conversion.SimpleName(full)
	}
	w.Out = w.Out[:start]
	w.Quote(full)
}

const scrubAdvice = "; scrub.invalid.names=true of the converter writes such names in another way"

// errEmptyName is for empty names and empty parts between dots.
var errEmptyName = fault.New(schemaParseException, "Empty name: names of Avro, and their parts between dots, have at "+
	"least one character")

// checkName accepts what Avro's Java library does: letters, digits and underscores, no digit first.
func checkName(name string) error {
	if name == "" {
		return fault.New(schemaParseException, errEmptyName.Text+scrubAdvice)
	}
	for i, r := range name {
		if unicode.IsLetter(r) || r == '_' || (i > 0 && unicode.IsDigit(r)) {
			continue
		}
		problem := "Illegal character in: "
		if i == 0 {
			problem = "Illegal initial character: "
		}
		return fault.New(schemaParseException, problem+fault.Truncate(name)+scrubAdvice)
	}
	return nil
}

// scrub applies `scrub.invalid.names` to a part of a name: it is encoded as by Java's URLEncoder, with underscores for
// characters that Avro does not allow, and x first if it does not begin with a letter or underscore.
func (w *schemaWriter) scrub(name string) string {
	if !w.o.Scrub {
		return name
	}
	encoded := make([]byte, 0, len(name)+1)
	for _, c := range []byte(name) {
		switch {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			encoded = append(encoded, c)
		case strings.IndexByte("_-.* ", c) >= 0: // not encoded by URLEncoder, or a plus sign for a space
			encoded = append(encoded, '_')
		default:
			encoded = fmt.Appendf(encoded, "_%02X", c)
		}
	}
	// Confluent checks the encoded text before percent signs become underscores.
	if name == "" || !(name[0] == '_' || ('A' <= name[0] && name[0] <= 'Z') || ('a' <= name[0] && name[0] <= 'z')) {
		return "x" + string(encoded)
	}
	return string(encoded)
}

// schemaParseException is Avro's exception for invalid names.
const schemaParseException = "org.apache.avro.SchemaParseException"
