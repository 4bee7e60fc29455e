package edm_test

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
)

var update = flag.Bool("update", false, "write the golden files again")

// The sets of every metadata sample are as in testdata/edm and testdata/edm4.
func TestSamples(t *testing.T) {
	testSamples(t, edm.V2, "../../../testdata/samples/metadata", "../../../testdata/edm", 11)
	testSamples(t, edm.V4, "../../../testdata/samples/metadata4", "../../../testdata/edm4", 4)
}

func testSamples(t *testing.T, dialect *edm.Dialect, samples, goldens string, count int) {
	files, err := os.ReadDir(samples)
	require.True(t, err == nil && len(files) >= count, "expected %d samples, found %d (%v)", count, len(files), err)
	for _, file := range files {
		t.Run(file.Name(), func(t *testing.T) {
			document, err := os.ReadFile(filepath.Join(samples, file.Name()))
			require.NoError(t, err)
			golden := filepath.Join(goldens, file.Name()+".txt")
			description := describe(document, dialect)
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(description), 0o644))
			}
			expected, err := os.ReadFile(golden)
			require.NoError(t, err)
			diff := cmp.Diff(string(expected), description)
			assert.True(t, diff == "", "(-%s +found)\n%s", golden, diff)
		})
	}
}

// describe returns a document's sets as text. Each type is packed and unpacked first, as in a plugin's context.
func describe(document []byte, dialect *edm.Dialect) string {
	var b strings.Builder
	model, err := edm.Parse(document, dialect)
	if err != nil {
		return "refused: " + err.Error() + "\n"
	}
	for _, set := range model.Sets {
		b.WriteString("set " + set.Container + "." + set.Name + " of " + set.Type + flags(set) + "\n")
		s := model.Structure(set.Type)
		if s == nil {
			b.WriteString("  no such type\n")
			continue
		}
		describeType(&b, model, set, s)
	}
	for _, function := range model.Functions {
		b.WriteString("function " + function.Method + " " + function.Name + "(")
		for i, p := range function.Parameters {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(p.Name + " " + p.Type.Name)
		}
		b.WriteString(") " + function.Returns + "\n")
	}
	return b.String()
}

// flags returns the annotations of a set that differ from their defaults.
func flags(set *edm.Set) string {
	var out string
	for _, flag := range []struct {
		isSet bool
		text  string
	}{
		{!set.Countable, "not countable"},
		{!set.Pageable, "not pageable"},
		{!set.Creatable, "not creatable"},
		{!set.Deletable, "not deletable"},
		{set.Singleton, "singleton"},
		{set.ChangeTracking, "change tracking"},
		{set.Partial, "partial"},
		{set.RequiresFilter, "requires a filter"},
		{set.Subscription, "subscriptions"},
	} {
		if flag.isSet {
			out += ", " + flag.text
		}
	}
	return out
}

// describeType writes a type's key and value schemas and navigations, and where its row schema differs from them.
func describeType(b *strings.Builder, model *edm.Model, set *edm.Set, structure *edm.StructuredType) {
	isV4 := model.Dialect == edm.V4
	targets := map[string]string{} // sets by navigation property
	for i := range structure.Navigations {
		if target := model.NavigationTarget(set, &structure.Navigations[i]); target != nil {
			targets[structure.Navigations[i].Name] = target.Name
		}
	}
	packed := edm.Pack(nil, model.Closure(structure, true))
	r := pack.NewReader(packed)
	model = edm.Unpack(r, model.Dialect)
	if !r.Done() {
		b.WriteString("  packing lost something\n")
	}
	structure = model.Structure(structure.QualifiedName())
	options := edm.Options{ScaleFallback: 6}
	key, err := model.KeySchema(structure, options)
	if err == nil && key != nil {
		b.WriteString("  key " + *key[0].Name + "\n")
		describeNode(b, key, 0, "    ")
	}
	value, err := model.ValueSchema(structure, options)
	if err != nil {
		b.WriteString("  refused: " + err.Error() + "\n")
		return
	}
	b.WriteString("  value " + *value[0].Name + "\n")
	describeNode(b, value, 0, "    ")
	for _, n := range structure.Navigations {
		b.WriteString("  navigation " + n.Name + " to " + n.Target)
		if n.Many {
			b.WriteString(" (many)")
		}
		if isV4 && targets[n.Name] != "" {
			b.WriteString(", set " + targets[n.Name])
		}
		b.WriteString("\n")
	}
	if isV4 {
		describeAnnotations(b, structure)
		return
	}
	rowSchema, err := decode.NewRowSchema(model, edm.WholeView(structure), options)
	if err != nil {
		b.WriteString("  layout refused: " + err.Error() + "\n")
		return
	}
	if len(rowSchema.Columns) != len(value[0].Fields) {
		b.WriteString("  layout and schema differ\n")
	}
	for i, c := range rowSchema.Columns {
		node := value[value[0].Fields[i].Node]
		if c.Name != value[0].Fields[i].Name || c.Optional != node.Optional {
			b.WriteString("  layout and schema differ at " + c.Name + "\n")
		}
		if c.Target != "" {
			b.WriteString("  " + c.Name + " from " + c.Target + "\n")
		}
	}
}

// describeAnnotations writes what annotations restrict, the members of enumerations, and streams.
func describeAnnotations(b *strings.Builder, structure *edm.StructuredType) {
	for _, p := range structure.Properties {
		var restrictions string
		for _, flag := range []struct {
			isSet bool
			text  string
		}{
			{!p.Filterable, ", not filterable"},
			{!p.Sortable, ", not sortable"},
			{!p.Creatable, ", not creatable"},
			{!p.Updatable, ", not updatable"},
			{p.Etag, ", ETag"},
		} {
			if flag.isSet {
				restrictions += flag.text
			}
		}
		if enum := p.Type.Enum; enum != nil {
			restrictions += ", " + p.Type.Name + " of " + strings.Join(enum.Members, " ")
			if enum.Flags {
				restrictions += " (flags)"
			}
		}
		if restrictions != "" {
			b.WriteString("  property " + p.Name + restrictions + "\n")
		}
	}
	for _, name := range structure.LeftOut {
		b.WriteString("  left out " + name + "\n")
	}
}

var kinds = map[wit.Kind]string{
	wit.Int8:    "int8",
	wit.Int16:   "int16",
	wit.Int32:   "int32",
	wit.Int64:   "int64",
	wit.Float32: "float32",
	wit.Float64: "float64",
	wit.Boolean: "boolean",
	wit.String:  "text",
	wit.Bytes:   "bytes",
	wit.Array:   "array",
	wit.Struct:  "structure",
}

// describeNode writes the fields of the struct at an index, and the fields of nested structs.
func describeNode(b *strings.Builder, nodes []wit.SchemaNode, index uint32, indent string) {
	for _, member := range nodes[index].Fields {
		n := nodes[member.Node]
		b.WriteString(indent + member.Name + " " + kinds[n.Kind])
		if n.Name != nil {
			b.WriteString(" " + strings.TrimPrefix(*n.Name, "org.apache.kafka.connect.data."))
		}
		for _, p := range n.Parameters {
			b.WriteString(" " + p.Name + "=" + p.Value)
		}
		if n.Optional {
			b.WriteString(" optional")
		}
		if member.Node <= index {
			b.WriteString(" refers back to " + strconv.Itoa(int(member.Node)))
		}
		b.WriteString("\n")
		if n.Kind == wit.Array {
			element := nodes[n.Element]
			b.WriteString(indent + "  of " + kinds[element.Kind])
			if element.Optional {
				b.WriteString(" optional")
			}
			b.WriteString("\n")
			describeNode(b, nodes, n.Element, indent+"  ")
		}
		if n.Kind == wit.Struct {
			describeNode(b, nodes, member.Node, indent+"  ")
		}
	}
}
