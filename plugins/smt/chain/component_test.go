package chain

import (
	"bufio"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/transforms"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// definition is an entry of a real worker's response to GET /connector-plugins/<class>/config.
type definition struct {
	Name          string  `json:"name"`
	Type          string  `json:"type"`
	Required      bool    `json:"required"`
	DefaultValue  *string `json:"default_value"`
	Importance    string  `json:"importance"`
	Documentation string  `json:"documentation"`
}

// Settings are declared in the order and with the words of Kafka's classes, recorded from Kafka Connect 4.3.1.
func TestDeclaresWhatKafkaDeclares(t *testing.T) {
	f, err := os.Open("../testdata/definitions.jsonl")
	require.NoError(t, err)
	defer f.Close()
	recorded := map[string][]definition{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var line struct {
			Class  string
			Type   string
			Config []definition
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &line))
		recorded[line.Class] = line.Config
		if component := componentNamed(line.Class); component.Kind.String() != line.Type {
			t.Errorf("%s: expected a %s, found %+v", line.Class, line.Type, component)
		}
	}
	extra := 0
	for _, component := range transforms.Components() {
		if strings.HasPrefix(component.Name, ownPackage) {
			extra++
			continue
		}
		ours := []definition{}
		for _, s := range component.Settings {
			d := definition{Name: s.Name, DefaultValue: s.DefaultValue, Documentation: s.Documentation,
				Required: setting.IsRequired(&s),
				Type: map[wit.SettingKind]string{wit.KindString: "STRING", wit.KindBoolean: "BOOLEAN",
					wit.KindList: "LIST", wit.KindInt: "INT"}[s.Kind],
				Importance: [...]string{"HIGH", "MEDIUM", "LOW"}[s.Importance]}
			ours = append(ours, d)
		}
		diff := cmp.Diff(recorded[component.Name], ours)
		assert.True(t, diff == "", "%s (-Kafka +ours):\n%s", component.Name, diff)
	}
	if count := len(transforms.Components()); len(recorded)+extra != count || extra != 6 {
		t.Errorf("expected the %d recorded components and 6 more, found %d, of which %d are not Kafka's", len(recorded),
			count, extra)
	}
}

// componentNamed returns the component with a name or alias, or an empty one.
func componentNamed(name string) wit.Component {
	for _, c := range transforms.Components() {
		if c.Name == name || c.Aliases[0] == name {
			return c
		}
	}
	return wit.Component{}
}

// pairs returns settings. Their names and values alternate.
func pairs(texts ...string) (list []wit.Setting) {
	for i := 0; i < len(texts); i += 2 {
		list = append(list, wit.Setting{Name: texts[i], Value: texts[i+1]})
	}
	return list
}

// stageOf returns a stage. Names and values of its settings alternate.
func stageOf(class string, texts ...string) wit.Stage {
	return wit.Stage{Component: class, Settings: pairs(texts...)}
}

// Prepare rejects stages with unknown components or invalid settings, and Apply a context of other bytes.
func TestPrepareRejectsInvalidStages(t *testing.T) {
	for want, stage := range map[string]wit.Stage{
		`stage 0, X: expected a transform of this plugin`: {Component: "X"},
		`Neither schema name nor version configured`:      {Component: ClassMetadataKey},
		`No field insertion configured`:                   {Component: ClassInsertValue},
		`No value specified for static field: a`:          {Component: ClassInsertValue, Settings: pairs("static.field", "a")},
		`expected a predicate of this plugin as the condition, found "Filter"`: {Component: ClassFilter,
			Condition: &wit.Condition{Component: "Filter"}},
		`pattern: stage 0, Filter: Missing required configuration "pattern"`: {Component: "Filter",
			Condition: &wit.Condition{Component: "TopicNameMatches"}},
		`Invalid value 1 for configuration replace.null.with.default: Expected value to be`: {Component: ClassTimestampValue,
			Settings: pairs("target.type", "string", "replace.null.with.default", "1")},
		`regex: stage 0, RegexRouter: Invalid value ( for`:                                             {Component: "RegexRouter", Settings: pairs("regex", "(")},
		`regex: stage 0, RegexRouter: Invalid value a&&[ for configuration regex: Invalid regex: Uncl`: {Component: "RegexRouter", Settings: pairs("regex", "a&&[", "replacement", "")},
	} {
		_, err := New().Prepare([]wit.Stage{stage})
		assert.True(t, err != nil && strings.Contains(err.Error(), want) && err.(*wit.Error).Kind == wit.ErrorConfig,
			"expected %q, found %v", want, err)
	}
	_, err := New().Apply([]byte("no context"), nil, nil, nil, nil)
	assert.True(t, err != nil, "expected an error for a foreign context")
}

// tenFields returns a call of rows with ten fields and about size bytes each.
func tenFields(t testing.TB, rows, size int) (schema wit.Schema, list []wit.Row, data []byte) {
	nodes := []wit.SchemaNode{
		{Kind: wit.Struct, Name: wit.Ptr("Order")},
		{Kind: wit.Int32},
		{Kind: wit.Int64, Optional: true},
		{Kind: wit.Float64, Optional: true},
		{Kind: wit.Boolean, Optional: true},
		{Kind: wit.String, Optional: true},
	}
	tree := connectdata.Struct{}
	for i, node := range []uint32{1, 2, 3, 5, 5, 5, 4, 5, 5, 5} {
		nodes[0].Fields = append(nodes[0].Fields, wit.Field{Name: "f" + strconv.Itoa(i), Node: node})
		valueOfNode := []any{nil, int32(100_000), int64(1_709_184_496_789), 1.5, true, strings.Repeat("x", size/6-5)}
		tree = append(tree, valueOfNode[node])
	}
	var call input
	for range rows {
		call.add(t, nodes, tree)
	}
	return wit.Schema{ID: 1, Nodes: nodes}, call.rows, call.data
}

// asMap returns a struct as a map.
func asMap(nodes []wit.SchemaNode, record connectdata.Struct) connectdata.Map {
	m := connectdata.Map{}
	for i, value := range record {
		m = append(m, connectdata.Entry{Key: nodes[0].Fields[i].Name, Value: value})
	}
	return m
}

// withoutSchema converts the structs of rows, which it changes, to maps and returns the new data.
func withoutSchema(t testing.TB, nodes []wit.SchemaNode, rows []wit.Row, data []byte) []byte {
	var call input
	for i := range rows {
		slice := &rows[i].Value
		tree, _, err := connectdata.Read(nodes, 0, data[slice.Start:slice.Start+slice.Size])
		require.NoError(t, err)
		*slice = call.put(t, nil, asMap(nodes, tree.(connectdata.Struct)))
	}
	return call.data
}

// benchChain returns a common chain, whose stages one program can run.
func benchChain() []wit.Stage {
	return []wit.Stage{
		stageOf(ClassInsertValue, "static.field", "system", "static.value", "SAP-PRD-100"),
		stageOf(ClassReplaceValue, "renames", "f0:id,f3:name", "exclude", "f7"),
		stageOf(ClassInsertValue, "topic.field", "topic"),
	}
}

// Apply stops after a megabyte of output. The host calls again for the remaining rows.
func TestApplyStopsEarly(t *testing.T) {
	schema, rows, data := tenFields(t, 3000, 1024)
	engine, context := newPrepared(t, benchChain()...)
	first, err := engine.Apply(context, []wit.Schema{schema}, []string{"orders"}, rows, data)
	if err != nil || first.Consumed < 900 || first.Consumed > 1200 || int(first.Consumed) != len(first.Rows) {
		t.Fatalf("expected about 1000 rows, found %d of %d, %v", len(first.Rows), first.Consumed, err)
	}
	out, rowErrors := apply(t, New(), context, []wit.Schema{schema}, input{[]string{"orders"}, rows, data})
	require.True(t, len(out.rows) == 3000 && len(rowErrors) == 0 && out.rows[2999].RowIndex == 2999,
		"expected 3000 rows, found %d, %v", len(out.rows), rowErrors)
}

// After the first call, rows of known schemas or keys need no allocation.
func TestNoAllocationForARow(t *testing.T) {
	withMask := append(benchChain(), stageOf(ClassMaskValue, "fields", "f4"),
		stageOf(ClassReplaceValue, "exclude", "f5"))
	for name, stages := range map[string][]wit.Stage{
		"several stages": benchChain(),
		"mask":           withMask,
		"cast":           {stageOf(ClassCastValue, "spec", "f0:string,f2:int32,f6:string,f1:float64")},
		"time":           {stageOf(ClassTimestampValue, "field", "f1", "target.type", "Timestamp")},
		"date": {stageOf(ClassTimestampValue, "field", "f1", "target.type", "string", "format",
			"yyyy-MM-dd'T'HH:mm:ss.SSSX")},
		"flat":   {stageOf(ClassFlattenValue)},
		"key":    {stageOf(ClassValueToKey, "fields", "f0,f3")},
		"header": {stageOf(ClassHeaderFromValue, "fields", "f1", "headers", "h", "operation", "move")},
		"field":  {stageOf(ClassExtractValue, "field", "f3")},
	} {
		for _, isSchemaless := range []bool{false, true} {
			schema, rows, data := tenFields(t, 500, 1024)
			if isSchemaless {
				data = withoutSchema(t, schema.Nodes, rows, data)
			}
			engine, context := newPrepared(t, stages...)
			schemas := []wit.Schema{schema}
			allocations := testing.AllocsPerRun(20, func() {
				_, err := engine.Apply(context, schemas, []string{"orders"}, rows, data)
				require.NoError(t, err)
				schemas = nil
			})
			if allocations > 1 { // the list of topics above
				t.Errorf("%s, schemaless %t: expected at most one allocation per call, found %v", name, isSchemaless,
					allocations)
			}
		}
	}
}

// The cache of chains is bounded.
func TestChainsAreBounded(t *testing.T) {
	engine := New()
	for i := range 2*record.MaxCached + 1 {
		context, err := engine.Prepare([]wit.Stage{stageOf(ClassInsertHeader, "header", strconv.Itoa(i),
			"value.literal", "x")})
		require.NoError(t, err)
		_, err = engine.Apply(context, nil, []string{"t"}, []wit.Row{{}}, nil)
		require.NoError(t, err)
	}
	assert.AtMost(t, record.MaxCached, len(engine.chains), "chains")
}

// Apply with the context of a predicate passes rows through.
func TestApplyWithPredicate(t *testing.T) {
	engine, context := newPrepared(t, wit.Stage{Component: ClassHasHeaderKey, Settings: pairs("name", "h")})
	out, err := engine.Apply(context, nil, []string{"a"}, []wit.Row{{Partition: -1, Timestamp: -1}}, nil)
	assert.True(t, err == nil && len(out.Rows) == 1 && out.Consumed == 1, "expected the row, found %+v, %v", out, err)
}
